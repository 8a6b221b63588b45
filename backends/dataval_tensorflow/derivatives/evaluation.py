"""An objective of a model in evaluation mode, and its derivatives, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, cast

import tensorflow as tf

from dataval.backend import Arrays, Objective
from dataval.backend.layers import LayerGradients, PlainGradients, plain_gradients, rows_of
from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.curvature import gauss_newton_product
from dataval_tensorflow.derivatives.gradients import (
    FirstThatWorks,
    OverRows,
    each_row,
    gradient,
    rows_together,
    single_rows,
)
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.second_order import named_layer_error
from dataval_tensorflow.derivatives.slopes import by_rows, double_reverse
from dataval_tensorflow.derivatives.tracing import call, compiled, compiled_over_rows, is_fast, uncompiled
from dataval_tensorflow.layerwise.engine import Layerwise
from dataval_tensorflow.losses import check_tensor
from dataval_tensorflow.model.functional import FunctionalModel
from dataval_tensorflow.model.parameters import Named

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
        self._rehearsal, self._fast = rehearsal, fast
        self._call = partial(call, model.device)
        self._general = rows_together if model.is_stochastic_in_evaluation else single_rows
        rows, right = self._rows, uncompiled(self._rows, each_row)
        self._compiled_values = compiled(self._values)
        self._compiled_gradient = compiled(self._gradient)
        self._compiled_rows = compiled_over_rows(rows, rehearsal.evaluation_rows, fast=fast)
        self._along = compiled_over_rows(self._slopes, rehearsal.slopes_of_objective, fast=fast)
        self._hessian_products = compiled_over_rows(self._hessian, rehearsal.products, fast=fast)
        self._gauss_newton_products = compiled_over_rows(self._gauss_newton, rehearsal.products, fast=fast)
        example, values = rehearsal.evaluation_rows, self._named_values
        layerwise = Layerwise(arrays, model, example, values, self._general, fast=fast)
        self._layer_rows = FirstThatWorks(layerwise.rows, self._joined_rows)
        self._layer_slopes = FirstThatWorks(layerwise.slopes, self._along)
        self._layers = FirstThatWorks(
            layerwise,
            self._plain,
            rehearsal=example,
            reference=lambda *args: self._as_blocks(*right(*args)),
            seen=partial(rows_of, arrays),
        )

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
        if self._has_layers:
            found = self._call(self._layer_rows, parameters, buffers, batch)
            size = self.model.layout.size
            return found[:, :size], found[:, size:]
        rows, buffer_rows = self._call(self._compiled_rows, parameters, buffers, batch)
        return rows, buffer_rows

    def layer_gradients(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, cotangents: tf.Tensor | None = None
    ) -> Sequence[LayerGradients]:
        """Gradient of every sample's objective, or of what cotangents say of its outputs, layer by layer."""
        if cotangents is not None:
            at = Batch(batch.inputs, cotangents)
            return self._of_outputs.layer_gradients(parameters, buffers, at)
        size, found = self.model.layout.size, self._call(self._layers, parameters, buffers, batch)
        return [block for block in found if block.spans[0][0] < size]

    @cached_property
    def _of_outputs(self) -> TensorFlowObjective:
        """The inner products of outputs with what stands in the place of targets."""
        rehearsal = self._rehearsal.with_cotangents()
        return TensorFlowObjective(self.arrays, self.model, _inner_products, rehearsal, fast=self._fast)

    def slopes(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, vectors: tf.Tensor) -> tf.Tensor:
        """Slopes of every sample's objective along one vector or K."""
        if vectors.ndim > 1 and len(vectors) > 1 and self._has_layers:
            return self._call(self._layer_slopes, parameters, buffers, batch, vectors)
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

    @property
    def _has_layers(self) -> bool:
        return is_fast(self.model.device, self._layers)

    def _values(self, parameters: Any, buffers: Any, inputs: Any, targets: tf.Tensor) -> tf.Tensor:
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
        return self._general(over, self._at, [parameters, buffers], Batch(inputs, targets))

    def _plain(self, *args: Any) -> list[LayerGradients]:
        return self._as_blocks(*self._compiled_rows(*args))

    def _joined_rows(self, *args: Any) -> tf.Tensor:
        return tf.concat(self._compiled_rows(*args), axis=1)

    def _as_blocks(self, rows: tf.Tensor, buffer_rows: tf.Tensor) -> list[LayerGradients]:
        return [*plain_gradients(rows), PlainGradients("the buffers", buffer_rows, self.model.layout.size)]

    def _named_values(self, parameters: Named, buffers: Named, batch: Batch) -> tf.Tensor:
        return self._values(parameters, buffers, batch.inputs, batch.targets)

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

        along = by_rows if over is each_row else double_reverse
        product = gauss_newton_product(
            outputs_at, parameters, lambda outputs: self._function(outputs, targets), weights, along
        )
        return _over(over, product, vectors)


def _inner_products(outputs: Any, cotangents: tf.Tensor) -> tf.Tensor:
    products = check_tensor(outputs, "pulling cotangents back to layers") * cotangents
    return tf.reduce_sum(products, list(range(1, products.shape.rank)))


def _over(over: OverRows, function: Any, vectors: tf.Tensor) -> tf.Tensor:
    return function(vectors) if vectors.shape.rank == 1 else over(function, vectors)
