"""Products with the curvature of the loss in evaluation mode, compiled."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.fallback import over_rows
from dataval_tensorflow.derivatives.gradients import OverRows, each_row, gradient
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.slopes import by_rows, double_reverse
from dataval_tensorflow.losses import PerSample, check_tensor
from dataval_tensorflow.model.functional import FunctionalModel

__all__ = ["Curvature"]


class Curvature:
    """Hessian and Gauss-Newton products as compiled functions.

    Parameters
    ----------
    model : FunctionalModel
    loss : callable
        (outputs, targets) -> ``(n,)``.
    rehearsal : Rehearsal
    fast : bool
        Whether the model's operations can be vectorised.
    """

    def __init__(self, model: FunctionalModel, loss: PerSample, rehearsal: Rehearsal, *, fast: bool) -> None:
        self._model, self._loss = model, loss
        self.hessian = over_rows(self._hessian, rehearsal.products, fast=fast)
        self.gauss_newton = over_rows(self._gauss_newton, rehearsal.products, fast=fast)

    def _hessian(
        self,
        over: OverRows,
        parameters: Any,
        buffers: Any,
        inputs: Any,
        targets: Any,
        weights: Any,
        vectors: Any,
    ) -> tf.Tensor:
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(parameters)
            with tf.GradientTape() as inner:
                inner.watch(parameters)
                outputs = self._model.eval_outputs(parameters, buffers, Batch(inputs, targets))
                losses = self._loss(outputs, targets)
            slope = gradient(inner, losses, parameters, weights)
        return _over(over, lambda vector: gradient(outer, slope, parameters, vector), vectors)

    def _gauss_newton(
        self,
        over: OverRows,
        parameters: Any,
        buffers: Any,
        inputs: Any,
        targets: Any,
        weights: Any,
        vectors: Any,
    ) -> tf.Tensor:
        def outputs_at(point: tf.Tensor) -> tf.Tensor:
            outputs = self._model.eval_outputs(point, buffers, Batch(inputs, targets))
            return check_tensor(outputs, "the Gauss-Newton matrix")

        with tf.GradientTape(persistent=True) as tape:
            tape.watch(parameters)
            outputs = outputs_at(parameters)
        free = tf.stop_gradient(outputs)
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(free)
            with tf.GradientTape() as inner:
                inner.watch(free)
                losses = self._loss(free, targets)
            slope = gradient(inner, losses, free, weights)
        along = by_rows if over is each_row else double_reverse

        def product(vector: tf.Tensor) -> tf.Tensor:
            moved = along(outputs_at, parameters, vector)
            return gradient(tape, outputs, parameters, gradient(outer, slope, free, moved))

        return _over(over, product, vectors)


def _over(over: OverRows, function: Any, vectors: tf.Tensor) -> tf.Tensor:
    return function(vectors) if vectors.shape.rank == 1 else over(function, vectors)
