"""What each step of ``fit`` sees and gives, read back from inside of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval.errors import InvalidDataError, InvalidModelError

__all__ = ["Seen", "WatchedSteps"]

_TARGETS, _NUMBERS = "dataval_targets", "dataval_numbers"


@dataclass(frozen=True)
class Seen:
    """One step.

    Attributes
    ----------
    inputs
        As the model got them, as arrays.
    targets : ndarray
    outputs : ndarray
        What the model returned, in training mode.
    gradient : ndarray
        Of the step's loss in the outputs.
    numbers : ndarray of int64, shape (n,)
        Of the samples.
    """

    inputs: Any
    targets: NDArray[Any]
    outputs: NDArray[Any]
    gradient: NDArray[Any]
    numbers: NDArray[np.int64]


class WatchedSteps:
    """Stands in for a model's ``compute_loss`` and ``compute_metrics``, which every step calls.

    Parameters
    ----------
    model : keras.Model
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._own_loss, self._own_metrics = model.compute_loss, model.compute_metrics
        model.compute_loss, model.compute_metrics = self._compute_loss, self._compute_metrics
        self._kept: list[tf.Variable] = []
        self._structure: Any = None

    def prepare(self, inputs: Any, targets: Any, dtype: str) -> None:
        """Make room for what a step sees, given some of it."""
        self._structure = inputs
        like = [*keras.tree.flatten(inputs), targets]
        dtypes = [tf.as_dtype(np.asarray(leaf).dtype) for leaf in like]
        dtypes = [tf.as_dtype(dtype) if d.is_floating else d for d in dtypes]
        self._kept = [
            tf.Variable(tf.zeros((0,), d), shape=tf.TensorShape(None), trainable=False)
            for d in (*dtypes, tf.as_dtype(dtype), tf.as_dtype(dtype), tf.int64)
        ]

    def joined(self, targets: Any, numbers: Any) -> dict[str, Any]:
        """Return targets that carry the numbers of their samples."""
        return {_TARGETS: targets, _NUMBERS: numbers}

    def targets_of(self, y: Any) -> Any:
        """Return the targets among targets that carry numbers.

        Raises
        ------
        InvalidDataError
            If they don't.
        """
        if not _is_numbered(y):
            raise InvalidDataError(
                "the pipeline's samples have no numbers: give it some before it is shuffled and batched, as in "
                "recorder.numbered(dataset).shuffle(1000).batch(50)"
            )
        return y[_TARGETS]

    def take(self) -> Seen:
        """Return what the last step saw."""
        *inputs, targets, outputs, gradient, numbers = [variable.numpy() for variable in self._kept]
        return Seen(keras.tree.pack_sequence_as(self._structure, inputs), targets, outputs, gradient, numbers)

    def remove(self) -> None:
        """Give the model its own methods back."""
        for name in ("compute_loss", "compute_metrics"):
            self._model.__dict__.pop(name, None)

    def _compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        if not _is_numbered(y):
            return self._own_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not tf.is_tensor(y_pred):
            raise InvalidModelError("one output can be recorded, the model returns several")
        weights = _of_targets(sample_weight)
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            loss = self._own_loss(x=x, y=y[_TARGETS], y_pred=y_pred, sample_weight=weights, training=training)
        gradient = tape.gradient(loss, y_pred)
        seen = [*keras.tree.flatten(x), y[_TARGETS], y_pred, gradient, y[_NUMBERS]]
        for variable, value in zip(self._kept, seen, strict=True):
            variable.assign(tf.stop_gradient(tf.cast(value, variable.dtype)))
        return loss

    def _compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if not _is_numbered(y):
            return self._own_metrics(x, y, y_pred, sample_weight)
        return self._own_metrics(x, y[_TARGETS], y_pred, _of_targets(sample_weight))


def _of_targets(sample_weight: Any) -> Any:
    """Return the weights of the targets, where fit has handed them out to the numbers as well."""
    return sample_weight if sample_weight is None else keras.tree.flatten(sample_weight)[0]


def _is_numbered(y: Any) -> bool:
    return isinstance(y, dict) and _NUMBERS in y
