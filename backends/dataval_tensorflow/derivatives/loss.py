"""The loss of a model in training mode, and its derivatives, compiled."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives import slopes
from dataval_tensorflow.derivatives.fallback import FirstThatWorks, over_rows
from dataval_tensorflow.derivatives.gradients import OverRows, gradient, jacobian_rows, single_rows
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.tracing import compiled
from dataval_tensorflow.losses import PerSample
from dataval_tensorflow.model.functional import FunctionalModel
from dataval_tensorflow.model.layers import can_be_vectorised

__all__ = ["TrainingLoss"]


class TrainingLoss:
    """Compiled functions of parameters, buffers, inputs and targets, and of what the contract adds to these.

    Parameters
    ----------
    model : FunctionalModel
    loss : callable
        (outputs, targets) -> ``(n,)``.
    rehearsal : Rehearsal
    """

    def __init__(self, model: FunctionalModel, loss: PerSample, rehearsal: Rehearsal) -> None:
        self._model, self._loss = model, loss
        self.losses = compiled(self._losses)
        traced = self.losses.get_concrete_function(*rehearsal.rows())
        self.can_be_vectorised = can_be_vectorised(traced.graph, model.device, model.dtype)
        self.gradient = compiled(self._gradient)
        self.pullback = compiled(self._pullbacks, None)
        self.slopes = FirstThatWorks(
            compiled(self._slopes, slopes.double_reverse),
            compiled(self._slopes, slopes.by_rows),
            rehearsal=rehearsal.slopes,
        )
        fast = self.can_be_vectorised
        self.rows = over_rows(self._rows, rehearsal.rows, fast=fast)
        self.selected_rows = over_rows(self._selected_rows, rehearsal.selected_rows, fast=fast)
        self.ensemble = over_rows(self._ensemble, rehearsal.ensemble, fast=fast)
        self.pullbacks = over_rows(self._pullbacks, rehearsal.pullbacks, fast=fast)

    def _forward(self, parameters: Any, buffers: Any, batch: Batch, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        outputs, after = self._model.train_outputs(parameters, buffers, batch, seed)
        return self._loss(outputs, batch.targets), after

    def _losses(self, parameters: Any, buffers: Any, inputs: Any, targets: Any, seed: Any) -> tf.Tensor:
        return self._forward(parameters, buffers, Batch(inputs, targets), seed)[0]

    def _gradient(
        self, parameters: Any, buffers: Any, inputs: Any, targets: Any, weights: Any, seed: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            losses, after = self._forward(parameters, buffers, Batch(inputs, targets), seed)
        return losses, gradient(tape, losses, parameters, weights), after

    def _slopes(
        self, along: Any, parameters: Any, buffers: Any, inputs: Any, targets: Any, vector: Any, seed: Any
    ) -> tf.Tensor:
        batch = Batch(inputs, targets)
        return along(lambda point: self._forward(point, buffers, batch, seed)[0], parameters, vector)

    def _rows(
        self, over: OverRows, parameters: Any, buffers: Any, inputs: Any, targets: Any, seed: Any
    ) -> tf.Tensor:
        def values(point: Any, batch: Batch) -> tf.Tensor:
            return self._forward(point, buffers, batch, seed)[0]

        return single_rows(over, values, parameters, Batch(inputs, targets))

    def _selected_rows(
        self,
        over: OverRows,
        parameters: Any,
        buffers: Any,
        inputs: Any,
        targets: Any,
        seed: Any,
        selection: Any,
    ) -> tf.Tensor:
        def values(point: Any, batch: Batch) -> tf.Tensor:
            return self._forward(point, buffers, batch, seed)[0]

        return jacobian_rows(over, values, parameters, Batch(inputs, targets), selection)

    def _ensemble(
        self, over: OverRows, parameters: Any, buffers: Any, inputs: Any, targets: Any, weights: Any, seed: Any
    ) -> Any:
        def one(member: Any) -> Any:
            point, own_buffers, own_weights = member
            return self._gradient(point, own_buffers, inputs, targets, own_weights, seed)

        return over(one, (parameters, buffers, weights))

    def _pullbacks(
        self,
        over: OverRows | None,
        parameters: Any,
        buffers: Any,
        inputs: Any,
        targets: Any,
        weights: Any,
        seed: Any,
        vectors: Any,
        buffer_vectors: Any,
    ) -> Any:
        """Pull back cotangents of gradient and new buffers: one of each, or `over` their leading axis."""
        arguments = [parameters, weights, buffers]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(arguments)
            outputs = list(self._gradient(parameters, buffers, inputs, targets, weights, seed)[1:])
        if over is None:
            return gradient(tape, outputs, arguments, [vectors, buffer_vectors])
        return over(lambda bars: gradient(tape, outputs, arguments, list(bars)), (vectors, buffer_vectors))
