"""Small cases on which fast ways of computing a derivative are tried out before they are relied on."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.tracing import call, uncompiled
from dataval_tensorflow.losses import check_tensor
from dataval_tensorflow.model.functional import FunctionalModel

__all__ = ["Rehearsal"]


class Rehearsal:
    """Arguments for each of the functions that a `FirstThatWorks` chooses between.

    Parameters
    ----------
    model : FunctionalModel
    example : Batch
        A few samples.
    """

    def __init__(self, model: FunctionalModel, example: Batch) -> None:
        self._model, self._example = model, example

    def with_cotangents(self) -> Rehearsal:
        """Return the same with cotangents of the outputs in the place of targets."""
        outputs = call(
            self._model.device, uncompiled(self._outputs), self._point(), self._model.buffers, self._example
        )
        checked = check_tensor(outputs, "pulling cotangents back to layers")
        noise = tf.random.stateless_normal(checked.shape, (3, 0), dtype=checked.dtype)
        return Rehearsal(self._model, Batch(self._example.inputs, noise))

    def slopes(self) -> tuple[Any, ...]:
        """For the directional derivative of training losses."""
        return (*self._arguments(), self._noise(1), self._seed())

    def slopes_of_objective(self) -> tuple[Any, ...]:
        """For directional derivatives in evaluation mode."""
        return (*self._arguments(), self._vectors())

    def products(self) -> tuple[Any, ...]:
        """For products with curvature matrices."""
        return (*self._arguments(), self._weights(), self._vectors())

    def pullbacks(self) -> tuple[Any, ...]:
        """For pulling back two cotangents of gradient and buffers."""
        buffer_vectors = tf.ones((2, self._model.buffer_layout.size), self._model.dtype)
        return (*self._arguments(), self._weights(), self._seed(), self._vectors(), buffer_vectors)

    def rows(self) -> tuple[Any, ...]:
        """For per-sample gradients of training losses."""
        return (*self._arguments(), self._seed())

    def selected_rows(self) -> tuple[Any, ...]:
        """For per-sample gradients of training losses whose samples are seen together."""
        return (*self._arguments(), self._seed(), tf.eye(len(self._example), dtype=self._model.dtype))

    def evaluation_rows(self) -> tuple[Any, ...]:
        """For per-sample gradients in evaluation mode."""
        return self._arguments()

    def gradients_together(self) -> tuple[Any, ...]:
        """For the gradients of two models at once."""
        points = tf.stack([self._point(), self._model.parameters])
        buffers = tf.stack([self._model.buffers] * 2)
        weights = tf.ones((2, len(self._example)), self._model.dtype)
        return points, buffers, self._example.inputs, self._example.targets, weights, self._seed()

    def _arguments(self) -> tuple[Any, ...]:
        return self._point(), self._model.buffers, self._example.inputs, self._example.targets

    def _outputs(self, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: Any) -> Any:
        return self._model.eval_outputs(parameters, buffers, Batch(inputs, targets))

    def _seed(self) -> tf.Tensor:
        return tf.constant(0, tf.int64)

    def _weights(self) -> tf.Tensor:
        return tf.ones((len(self._example),), self._model.dtype)

    def _vectors(self) -> tf.Tensor:
        return tf.stack([self._noise(1), self._noise(2)])

    def _point(self) -> tf.Tensor:
        """Parameters away from the model's own, which may be special (zeros, ties)."""
        return self._model.parameters * 1.01 + 0.01 * self._noise(0)

    def _noise(self, seed: int) -> tf.Tensor:
        return tf.random.stateless_normal(self._model.parameters.shape, (seed, 0), dtype=self._model.dtype)
