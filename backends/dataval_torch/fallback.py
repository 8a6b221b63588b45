"""Trying ways of computing the same thing, fastest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["UNSUPPORTED", "FirstThatWorks", "agree"]

UNSUPPORTED = (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError)
"""What PyTorch raises where an operation lacks a derivative or a batching rule."""


class FirstThatWorks:
    """A function with several implementations: the first that the model's operations support is used.

    PyTorch has no forward derivative or batching rule for some operations, and says so by an error at the
    first call; others have a wrong one, or silently drop a derivative. So every way but the last is
    rehearsed once before it is used: on a small case it must agree with the last. Where it fails, the next
    way is taken from then on. The last way's errors are raised.

    Parameters
    ----------
    *ways : callable
        The same function, fastest first; the last is the one whose result is right by definition.
    rehearsal : callable, optional
        Returns the arguments of the small case.
    """

    def __init__(
        self, *ways: Callable[..., Any], rehearsal: Callable[[], tuple[Any, ...]] | None = None
    ) -> None:
        self._ways = list(ways)
        self._rehearsal = rehearsal

    def __call__(self, *args: Any) -> Any:
        """Call the way in use, moving on where it isn't supported."""
        while self.is_fast():
            try:
                return self._ways[0](*args)
            except torch.OutOfMemoryError:
                raise
            except UNSUPPORTED:
                del self._ways[0]
        return self._ways[0](*args)

    def is_fast(self) -> bool:
        """Whether a way other than the last is in use, which its rehearsal decides."""
        while len(self._ways) > 1:
            try:
                self._rehearse()
                return True
            except torch.OutOfMemoryError:
                raise
            except UNSUPPORTED:
                del self._ways[0]
        return False

    def _rehearse(self) -> None:
        if self._rehearsal is None:
            return
        args = self._rehearsal()
        if not agree(self._ways[0](*args), self._ways[-1](*args)):
            raise RuntimeError("two ways of computing the same derivative disagree")
        self._rehearsal = None


def agree(found: Tensor | Sequence[Tensor], expected: Tensor | Sequence[Tensor]) -> bool:
    """Whether results are equal up to rounding: half the digits, relative to the largest entry of all."""
    if isinstance(found, Tensor) and isinstance(expected, Tensor):
        return agree([found], [expected])
    pairs = [(f, e) for f, e in zip(found, expected, strict=True) if e.numel()]
    scale = max((float(e.abs().max()) for _, e in pairs), default=0.0)
    return all(float((f - e).abs().max()) <= scale * torch.finfo(e.dtype).eps ** 0.5 for f, e in pairs)
