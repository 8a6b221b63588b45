"""Trying ways of computing the same thing, fastest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dataval_tensorflow.derivatives.gradients import each_row, vectorised
from dataval_tensorflow.derivatives.tracing import compiled
from dataval_tensorflow.model.layers import differentiable_operations

__all__ = ["UNSUPPORTED", "FirstThatWorks", "over_rows"]

UNSUPPORTED = (tf.errors.OpError, LookupError, RuntimeError, NotImplementedError, TypeError, ValueError)
"""What TensorFlow raises where an operation lacks a derivative or a batching rule."""


class FirstThatWorks:
    """A function with several implementations: the first that the model's operations support is used.

    TensorFlow has no batching rule or second derivative for some operations, and says so by an error when the
    function is traced. So every way but the last is rehearsed once before it is used: on a small case it must
    agree with the last. Where it fails, the next way is taken from then on. The last way's errors are raised.

    Parameters
    ----------
    *ways : callable
        The same function, fastest first; the last is the one whose result is right by definition.
    rehearsal : callable, optional
        Returns the arguments of the small case.
    reference : callable, optional
        The last way, not compiled: for a single small case that is faster.
    """

    def __init__(
        self,
        *ways: Callable[..., Any],
        rehearsal: Callable[[], tuple[Any, ...]] | None = None,
        reference: Callable[..., Any] | None = None,
    ) -> None:
        self._ways = list(ways)
        self._rehearsal = rehearsal
        self._reference = reference or ways[-1]

    def __call__(self, *args: Any) -> Any:
        """Call the way in use, moving on where it isn't supported."""
        while len(self._ways) > 1:
            try:
                self._rehearse()
                return self._ways[0](*args)
            except tf.errors.ResourceExhaustedError:
                raise
            except UNSUPPORTED:
                del self._ways[0]
        return self._ways[0](*args)

    def _rehearse(self) -> None:
        if self._rehearsal is None:
            return
        args = self._rehearsal()
        if not _agree(self._ways[0](*args), self._reference(*args)):
            raise RuntimeError("two ways of computing the same derivative disagree")
        self._rehearsal = None


def _agree(found: Any, expected: Any) -> bool:
    """Whether results are equal up to rounding: half the digits, relative to the largest entry of all."""
    pairs = [
        (f.numpy(), e.numpy())
        for f, e in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True)
        if np.prod(e.shape)
    ]
    scale = max((float(np.abs(e).max()) for _, e in pairs), default=0.0)
    return all(float(np.abs(f - e).max()) <= scale * np.finfo(e.dtype).eps ** 0.5 for f, e in pairs)


def over_rows(
    function: Callable[..., Any], rehearsal: Callable[[], tuple[Any, ...]], *, fast: bool
) -> FirstThatWorks:
    """Compile a function of (over, ...), where `over` goes over rows, in all ways that may work."""
    ways = (vectorised, each_row) if fast else (each_row,)

    def reference(*args: Any) -> Any:
        with differentiable_operations():
            return function(each_row, *args)

    return FirstThatWorks(
        *(compiled(function, over) for over in ways), rehearsal=rehearsal, reference=reference
    )
