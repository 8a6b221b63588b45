"""Compiling functions into TensorFlow graphs, and calling them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import Any

import tensorflow as tf

from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.gradients import FirstThatWorks, each_row, vectorised
from dataval_tensorflow.model.layers import differentiable_operations

__all__ = ["call", "compiled", "compiled_over_rows", "is_fast", "uncompiled"]

_COST = "samples or vectors are done one by one: TensorFlow can't do this model's together"
_calls = RLock()


def compiled(function: Callable[..., Any], *leading: Any) -> Any:
    """Return a `tf.function` of a function with its first arguments fixed.

    It is traced once for every combination of shapes, as its arguments are tensors only. XLA stays off: its
    second derivative of max-pooling is wrong (TensorFlow 2.21), and on the CPU its convolutions are slower.
    """
    # A partial, as TensorFlow counts tracings by code, and would warn of those of different functions.
    return tf.function(partial(_traced, function, leading), autograph=False, jit_compile=False)


def compiled_over_rows(
    function: Callable[..., Any], rehearsal: Callable[[], tuple[Any, ...]], *, fast: bool
) -> FirstThatWorks:
    """Compile a function of (over, ...), where `over` goes over rows, in all ways that may work."""
    ways = (vectorised, each_row) if fast else (each_row,)
    # The reference is not compiled: for a single small case that is faster.
    return FirstThatWorks(
        *(compiled(function, over) for over in ways),
        rehearsal=rehearsal,
        reference=uncompiled(function, each_row),
        cost=_COST,
    )


def uncompiled(function: Callable[..., Any], *leading: Any) -> Any:
    """Return what `compiled` compiles."""
    return partial(_traced, function, leading)


def call(device: str, function: Any, parameters: Any, buffers: Any, batch: Batch, *more: Any) -> Any:
    """Call a compiled function; one thread at a time, as tracing replaces operations for the whole process."""
    with _calls, tf.device(device):
        return function(parameters, buffers, batch.inputs, batch.targets, *more)


def is_fast(device: str, function: FirstThatWorks) -> bool:
    """Whether a way other than the last is in use, which is found out as `call` calls functions."""
    with _calls, tf.device(device):
        return function.is_fast()


def _traced(function: Callable[..., Any], leading: tuple[Any, ...], *args: Any) -> Any:
    with differentiable_operations():
        return function(*leading, *args)
