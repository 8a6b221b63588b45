"""Where the samples of a batch are in a tensor on its way through a model."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

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

    def first(self, tensor: tf.Tensor, n: int) -> tf.Tensor:
        """Return a tensor with an axis of n samples in front, and what belongs to them after it."""
        if self.kind is Kind.AXIS:
            if tensor.shape[self.axis] != n:
                raise ValueError(f"{tensor.shape} has no axis {self.axis} of {n} samples")
            others = [axis for axis in range(tensor.shape.rank) if axis != self.axis]
            return tensor if self.axis == 0 else tf.transpose(tensor, [self.axis, *others])
        length, *rest = tensor.shape
        if length % n:
            raise ValueError(f"the first axis of {tensor.shape} can't be shared by {n} samples")
        if self.kind is Kind.MAJOR:
            return tf.reshape(tensor, (n, length // n, *rest))
        split = tf.reshape(tensor, (length // n, n, *rest))
        return tf.transpose(split, [1, 0, *range(2, len(rest) + 2)])


def find_arrangement(bar: NDArray[np.float64], n: int, axes: Sequence[int]) -> Arrangement | None:
    """Find out where the first sample is, from the gradient of its loss alone in a tensor; None if nowhere.

    Where the gradient is 0 everywhere, the first way that fits the shape is taken.

    Parameters
    ----------
    bar : ndarray
        The gradient.
    n : int
        Samples in the batch.
    axes : sequence of int
        Those that samples may be on.
    """
    for axis in axes:
        if bar.shape[axis] == n and not np.delete(bar, 0, axis).any():
            return Arrangement(Kind.AXIS, axis)
    if 0 not in axes or bar.shape[0] % n:
        return None
    rest = bar.shape[1:]
    if not bar.reshape(n, -1)[1:].any():
        return Arrangement(Kind.MAJOR)
    return None if bar.reshape(-1, n, *rest)[:, 1:].any() else Arrangement(Kind.MINOR)
