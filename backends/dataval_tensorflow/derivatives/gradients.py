"""Vector-Jacobian products and per-sample gradients, in graphs, and what to do where TensorFlow lacks one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import tensorflow as tf

from dataval.backend import ways
from dataval.backend.loss_trial import check_closed
from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch

__all__ = [
    "UNSUPPORTED",
    "FirstThatWorks",
    "each_row",
    "gradient",
    "jacobian_rows",
    "rows_together",
    "single_rows",
    "unused",
    "vectorised",
]

Values = Callable[[Any, Batch], tf.Tensor]
OverRows = Callable[[Callable[[Any], Any], Any], Any]
"""A function (function, arrays) -> its results over the leading axis of the arrays."""

UNSUPPORTED = (tf.errors.OpError, LookupError, RuntimeError, NotImplementedError, TypeError, ValueError)
"""What TensorFlow raises where an operation lacks a derivative or a batching rule."""

_ZERO = tf.UnconnectedGradients.ZERO


class FirstThatWorks(ways.FirstThatWorks):
    """See `dataval.backend.ways.FirstThatWorks`."""

    unsupported: ClassVar[ways.Errors] = UNSUPPORTED
    fatal: ClassVar[ways.Errors] = (tf.errors.ResourceExhaustedError,)


def gradient(tape: tf.GradientTape, outputs: Any, inputs: Any, cotangents: Any = None) -> Any:
    """Pull cotangents back from outputs to inputs; what doesn't depend on an input gives zeros, all dense."""
    found = tape.gradient(outputs, inputs, output_gradients=cotangents, unconnected_gradients=_ZERO)
    return tf.nest.map_structure(tf.convert_to_tensor, found)


def vectorised(function: Callable[[Any], Any], arrays: Any) -> Any:
    """Apply a function to every row at once; operations without a batching rule are done one by one."""
    with _quiet():
        return tf.vectorized_map(function, arrays)


def each_row(function: Callable[[Any], Any], arrays: Any) -> Any:
    """Apply a function to one row after another; works for whatever has a first derivative."""
    first = tf.nest.flatten(arrays)[0]
    one = function(tf.nest.map_structure(lambda leaf: leaf[0], arrays))
    signature = tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), one)
    if first.shape[0] == 1:
        return tf.nest.map_structure(lambda leaf: leaf[None], one)
    return tf.map_fn(function, arrays, fn_output_signature=signature, parallel_iterations=1)


def single_rows(over: OverRows, values_of: Values, point: Any, batch: Batch) -> Any:
    """Gradients of all samples' values in `point`, each sample on its own in a batch of one."""

    def one(sample: tuple[Any, tf.Tensor]) -> Any:
        alone = Batch(*sample).map(lambda leaf: leaf[None])
        with tf.GradientTape() as tape:
            tape.watch(point)
            values = values_of(point, alone)
        return gradient(tape, values, point)

    return over(one, (batch.inputs, batch.targets))


def jacobian_rows(over: OverRows, values_of: Values, point: Any, batch: Batch, selection: tf.Tensor) -> Any:
    """Products of the rows of `selection` and the Jacobian of the batch's values in `point`.

    The forward pass sees the whole batch.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(point)
        values = values_of(point, batch)
    return over(lambda row: gradient(tape, values, point, row), selection)


def rows_together(over: OverRows, values_of: Values, point: Any, batch: Batch) -> Any:
    """Gradients of all samples' values in `point`, with the whole batch seen by the forward pass."""
    selection = tf.eye(len(batch), dtype=tf.nest.flatten(point)[0].dtype)
    return jacobian_rows(over, values_of, point, batch, selection)


def unused(losses_of: Callable[[Any], tf.Tensor], leaves: dict[str, tf.Tensor]) -> list[str]:
    """Name the leaves that get no gradient from the losses.

    Raises
    ------
    InvalidModelError
        If there is no gradient at all, or other variables that are trainable are used as well.
    """
    try:
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            losses = losses_of(leaves)
        found = tape.gradient(losses, leaves)
    except LookupError as error:
        raise InvalidModelError(f"the loss can't be differentiated: {error}") from error
    missing = [name for name, found_one in found.items() if found_one is None]
    if len(missing) == len(leaves):
        raise InvalidModelError(
            "the loss does not depend on the trained parameters: is a result detached (stop_gradient, "
            "numpy()), or are the variables reached by another way than the model's attributes (a closure)?"
        )
    check_closed([getattr(v, "path", v.name) for v in tape.watched_variables()], "model")
    return missing


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow from logging what it does one after another: nothing can be done about it."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
