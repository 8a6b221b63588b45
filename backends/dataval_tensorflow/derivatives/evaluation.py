"""An objective of a model in evaluation mode, and its derivatives, compiled."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import tensorflow as tf

from dataval.backend import Arrays, Objective
from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.gradients import OverRows, each_row, gradient, jacobian_rows, single_rows
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.second_order import named_layer_error
from dataval_tensorflow.derivatives.slopes import by_rows, double_reverse
from dataval_tensorflow.derivatives.tracing import call, compiled, compiled_over_rows
from dataval_tensorflow.losses import check_tensor
from dataval_tensorflow.model.functional import FunctionalModel

__all__ = ["TensorFlowObjective"]


class TensorFlowObjective(Objective):
    """See `dataval.backend.Objective`.

    Parameters
    ----------
    arrays : Arrays
    model : FunctionalModel
    function : callable
        (outputs, targets) -> one number a sample ``(n,)``, or a number.
    rehearsal : Rehearsal
    fast : bool
        Whether the model's operations can be vectorised.
    """

    def __init__(
        self, arrays: Arrays, model: FunctionalModel, function: Any, rehearsal: Rehearsal, *, fast: bool
    ) -> None:
        super().__init__(arrays)
        self.model, self._function = model, function
        self._call = partial(call, model.device)
        rows = self._rows_together if model.is_stochastic_in_evaluation else self._rows
        self._compiled_values = compiled(self._values)
        self._compiled_gradient = compiled(self._gradient)
        self._compiled_rows = compiled_over_rows(rows, rehearsal.evaluation_rows, fast=fast)
        self._along = compiled_over_rows(self._slopes, rehearsal.slopes_of_objective, fast=fast)
        self._hessian_products = compiled_over_rows(self._hessian, rehearsal.products, fast=fast)
        self._gauss_newton_products = compiled_over_rows(self._gauss_newton, rehearsal.products, fast=fast)

    def values(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Objective of every sample, of one model or K."""
        if parameters.ndim == 1:
            return self._call(self._compiled_values, parameters, buffers, batch)
        members = zip(parameters, buffers, strict=True)
        return tf.stack([self._call(self._compiled_values, p, b, batch) for p, b in members])

    def gradient(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Gradient of the summed objective."""
        bars, buffers_bar = self._call(self._compiled_gradient, parameters, buffers, batch)
        return bars, buffers_bar

    def rows(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Gradient of every sample's objective."""
        rows, buffer_rows = self._call(self._compiled_rows, parameters, buffers, batch)
        return rows, buffer_rows

    def slopes(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, vectors: tf.Tensor) -> tf.Tensor:
        """Slopes of every sample's objective along one vector or K."""
        return self._call(self._along, parameters, buffers, batch, vectors)

    def hessian_products(
        self,
        parameters: tf.Tensor,
        buffers: tf.Tensor,
        batch: Batch,
        weights: tf.Tensor,
        vectors: tf.Tensor,
    ) -> tf.Tensor:
        """Hessian products."""
        with named_layer_error(self.model, batch):
            return self._call(self._hessian_products, parameters, buffers, batch, weights, vectors)

    def gauss_newton_products(
        self,
        parameters: tf.Tensor,
        buffers: tf.Tensor,
        batch: Batch,
        weights: tf.Tensor,
        vectors: tf.Tensor,
    ) -> tf.Tensor:
        """Gauss-Newton products."""
        return self._call(self._gauss_newton_products, parameters, buffers, batch, weights, vectors)

    def _values(self, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: tf.Tensor) -> tf.Tensor:
        outputs = self.model.eval_outputs(parameters, buffers, Batch(inputs, targets))
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
        selection = tf.eye(len(Batch(inputs, targets)), dtype=parameters.dtype)
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
                values = self._values(parameters, buffers, inputs, targets)
            slope = gradient(inner, values, parameters, weights)
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
            outputs = self.model.eval_outputs(point, buffers, Batch(inputs, targets))
            return check_tensor(outputs, "the Gauss-Newton matrix")

        with tf.GradientTape(persistent=True) as tape:
            tape.watch(parameters)
            outputs = outputs_at(parameters)
        free = tf.stop_gradient(outputs)
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(free)
            with tf.GradientTape() as inner:
                inner.watch(free)
                values = self._function(free, targets)
            slope = gradient(inner, values, free, weights)
        along = by_rows if over is each_row else double_reverse

        def product(vector: tf.Tensor) -> tf.Tensor:
            moved = along(outputs_at, parameters, vector)
            return gradient(tape, outputs, parameters, gradient(outer, slope, free, moved))

        return _over(over, product, vectors)


def _over(over: OverRows, function: Any, vectors: tf.Tensor) -> tf.Tensor:
    return function(vectors) if vectors.shape.rank == 1 else over(function, vectors)
