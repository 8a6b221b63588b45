"""An objective of a model in evaluation mode, and its derivatives, compiled."""

from __future__ import annotations

from typing import Any, cast

import tensorflow as tf

from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.fallback import over_rows
from dataval_tensorflow.derivatives.gradients import OverRows, each_row, gradient, jacobian_rows, single_rows
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.slopes import by_rows, double_reverse
from dataval_tensorflow.derivatives.tracing import compiled
from dataval_tensorflow.model.functional import FunctionalModel

__all__ = ["Evaluation"]


class Evaluation:
    """The functions of one objective.

    Parameters
    ----------
    model : FunctionalModel
    function : callable
        (outputs, targets) -> one number a sample ``(n,)``, or a number.
    rehearsal : Rehearsal
    fast : bool
        Whether the model's operations can be vectorised.
    """

    def __init__(self, model: FunctionalModel, function: Any, rehearsal: Rehearsal, *, fast: bool) -> None:
        self._model, self._function = model, function
        self.values = compiled(self._values)
        self.gradient = compiled(self._gradient)
        rows = self._rows_together if model.is_stochastic_in_evaluation else self._rows
        self.rows = over_rows(rows, rehearsal.evaluation_rows, fast=fast)
        self.slopes = over_rows(self._slopes, rehearsal.slopes_of_objective, fast=fast)

    def _values(self, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: tf.Tensor) -> tf.Tensor:
        outputs = self._model.eval_outputs(parameters, buffers, Batch(inputs, targets))
        return cast("tf.Tensor", self._function(outputs, targets))

    def _gradient(self, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: tf.Tensor) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([parameters, buffers])
            value = tf.reduce_sum(self._values(parameters, buffers, inputs, targets))
        if tape.gradient(value, parameters) is None:
            raise InvalidModelError(
                "the objective does not depend on the trained parameters in a differentiable way (a count of "
                "correct predictions does not): use a smooth one, such as the loss"
            )
        return gradient(tape, value, [parameters, buffers])

    def _rows(
        self, over: OverRows, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: tf.Tensor
    ) -> Any:
        return single_rows(over, self._at, [parameters, buffers], Batch(inputs, targets))

    def _rows_together(
        self, over: OverRows, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: tf.Tensor
    ) -> Any:
        selection = tf.eye(targets.shape[0], dtype=parameters.dtype)
        return jacobian_rows(over, self._at, [parameters, buffers], Batch(inputs, targets), selection)

    def _at(self, point: list[tf.Tensor], batch: Batch) -> tf.Tensor:
        parameters, buffers = point
        return self._values(parameters, buffers, batch.inputs, batch.targets)

    def _slopes(
        self,
        over: OverRows,
        parameters: tf.Tensor,
        buffers: tf.Tensor,
        inputs: Any,
        targets: tf.Tensor,
        vectors: tf.Tensor,
    ) -> tf.Tensor:
        def values_at(point: tf.Tensor) -> tf.Tensor:
            return self._values(point, buffers, inputs, targets)

        along = by_rows if over is each_row else double_reverse
        if vectors.shape.rank == 1:
            return along(values_at, parameters, vectors)
        return over(lambda vector: along(values_at, parameters, vector), vectors)
