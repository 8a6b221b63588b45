"""Where the samples of a batch are in a tensor on its way through a model."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from torch import Tensor

__all__ = ["Arrangement", "Kind", "find_arrangement"]


class Kind(Enum):
    """How samples are laid out."""

    AXIS = "an axis of their own"
    MAJOR = "the slower part of the first axis: all positions of a sample, then those of the next"
    MINOR = "the faster part of the first axis: a position of all samples, then the next"


class Arrangement(NamedTuple):
    """A kind, and the axis where samples have one of their own."""

    kind: Kind
    axis: int = 0

    def first(self, tensor: Tensor, n: int) -> Tensor:
        """Return a tensor with an axis of n samples in front, and what belongs to them after it."""
        match self.kind:
            case Kind.AXIS:
                return tensor.movedim(self.axis, 0)
            case Kind.MAJOR:
                return tensor.reshape(n, -1, *tensor.shape[1:])
            case Kind.MINOR:
                return tensor.reshape(-1, n, *tensor.shape[1:]).movedim(1, 0)


def find_arrangement(bar: Tensor, n: int) -> Arrangement | None:
    """Find out where the first sample is, from the gradient of its loss alone in a tensor; None if nowhere.

    Where the gradient is 0 everywhere, the first way that fits the shape is taken.
    """
    for axis, length in enumerate(bar.shape[:-1]):
        if length == n and not bar.narrow(axis, 1, n - 1).any():
            return Arrangement(Kind.AXIS, axis)
    if bar.ndim < 2 or bar.shape[0] % n:
        return None
    for kind in (Kind.MAJOR, Kind.MINOR):
        if not Arrangement(kind).first(bar, n)[1:].any():
            return Arrangement(kind)
    return None
