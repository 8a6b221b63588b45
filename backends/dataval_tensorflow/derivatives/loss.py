"""The loss of a model in training mode, and its derivatives, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from dataval.backend import Arrays, FirstOrder, Linearization, TrainingLoss
from dataval.backend.layers import LayerGradients, plain_gradients, rows_of
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives import slopes
from dataval_tensorflow.derivatives.curvature import gauss_newton_pullback
from dataval_tensorflow.derivatives.gradients import (
    FirstThatWorks,
    OverRows,
    each_row,
    gradient,
    jacobian_rows,
    rows_together,
    single_rows,
)
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.second_order import named_layer_error
from dataval_tensorflow.derivatives.tracing import call, compiled, compiled_over_rows, is_fast, uncompiled
from dataval_tensorflow.layerwise.engine import Layerwise
from dataval_tensorflow.losses import PerSample, check_tensor
from dataval_tensorflow.model.functional import FunctionalModel
from dataval_tensorflow.model.layers import can_be_vectorised
from dataval_tensorflow.model.parameters import Named

__all__ = ["TensorFlowLoss"]


class TensorFlowLoss(TrainingLoss):
    """See `dataval.backend.TrainingLoss`.

    Its compiled functions take parameters, buffers, inputs and targets, and what the contract adds to these.

    Parameters
    ----------
    arrays : Arrays
    model : FunctionalModel
    per_sample : callable
        (outputs, targets) -> ``(n,)``.
    rehearsal : Rehearsal
    """

    def __init__(
        self, arrays: Arrays, model: FunctionalModel, per_sample: PerSample, rehearsal: Rehearsal
    ) -> None:
        super().__init__(arrays)
        self.model, self._per_sample = model, per_sample
        self._call = partial(call, model.device)
        self._compiled_losses = compiled(self._losses)
        traced = self._compiled_losses.get_concrete_function(*rehearsal.rows())
        self.can_be_vectorised = fast = can_be_vectorised(traced.graph, model.device, model.dtype)
        self._compiled_gradient = compiled(self._gradient)
        self._pullback = compiled(self._pullbacks, None)
        self._general = rows_together if model.is_stochastic else single_rows
        self._along = FirstThatWorks(
            compiled(self._slopes, slopes.double_reverse),
            compiled(self._slopes, slopes.by_rows),
            rehearsal=rehearsal.slopes,
        )
        self._single_rows = compiled_over_rows(self._rows, rehearsal.rows, fast=fast)
        self._coupled_rows = compiled_over_rows(self._selected_rows, rehearsal.selected_rows, fast=fast)
        layerwise = Layerwise(arrays, model, rehearsal.rows, self._named_losses, self._general, fast=fast)
        right = uncompiled(self._rows, each_row)
        self._layer_rows = FirstThatWorks(layerwise.rows, self._plain_rows)
        self._layer_slopes = FirstThatWorks(layerwise.slopes, self._plain_slopes)
        self._layers = FirstThatWorks(
            layerwise,
            self._plain,
            rehearsal=rehearsal.rows,
            reference=lambda *args: plain_gradients(right(*args)),
            seen=partial(rows_of, arrays),
        )
        self._together = compiled_over_rows(self._gradients, rehearsal.gradients_together, fast=fast)
        self._gauss_newton = compiled_over_rows(self._gauss_newton_pullbacks, rehearsal.pullbacks, fast=fast)
        self._many_pullbacks = compiled_over_rows(self._pullbacks, rehearsal.pullbacks, fast=fast)

    def losses(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, seed: int) -> tf.Tensor:
        """Per-sample losses."""
        return self._call(self._compiled_losses, parameters, buffers, batch, _seed(seed))

    def gradient(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, weights: tf.Tensor, seed: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Losses, gradient of the weighted loss, new buffers; of one model or K."""
        function = self._compiled_gradient if parameters.ndim == 1 else self._together
        losses, found, after = self._call(function, parameters, buffers, batch, weights, _seed(seed))
        return losses, found, after

    @property
    def is_coupled(self) -> bool:
        """Whether the batch's statistics or random numbers join its samples."""
        return self.model.has_batch_statistics or self.model.is_stochastic

    def rows(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, seed: int, part: slice | None = None
    ) -> tf.Tensor:
        """Gradients of the losses of some samples."""
        part = part or slice(None)
        if not self.is_coupled:
            batch, part = batch.rows(part), slice(None)
        if self.has_layers and part == slice(None):
            return self._call(self._layer_rows, parameters, buffers, batch, _seed(seed))
        if self.has_layers:
            blocks = self.layer_gradients(parameters, buffers, batch, seed)
            return rows_of(self.arrays, [block.part(part) for block in blocks])
        function, *more = self._general_rows(len(batch), part)
        return self._call(function, parameters, buffers, batch, _seed(seed), *more)

    def slopes(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, vectors: tf.Tensor, seed: int
    ) -> tf.Tensor:
        """Slopes along one vector or K."""
        if vectors.ndim == 1 or len(vectors) < 2 or not self.has_layers:
            return super().slopes(parameters, buffers, batch, vectors, seed)
        return self._call(self._layer_slopes, parameters, buffers, batch, _seed(seed), vectors)

    @property
    def has_layers(self) -> bool:
        """Whether one pass back gives the gradients of all samples."""
        return not self.model.has_batch_statistics and is_fast(self.model.device, self._layers)

    def first_order(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, weights: tf.Tensor, seed: int
    ) -> FirstOrder:
        """Gradient and slopes, by a compiled pass each: sums over layers one by one take longer than a pass."""
        found = self.gradient(parameters, buffers, batch, weights, seed)[1]
        return FirstOrder(found, lambda vectors: self.slopes(parameters, buffers, batch, vectors, seed))

    def layer_gradients(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, seed: int
    ) -> Sequence[LayerGradients]:
        """Gradients of the samples' losses by layer."""
        find = self._layers if self.has_layers else self._plain
        found: Sequence[LayerGradients] = self._call(find, parameters, buffers, batch, _seed(seed))
        return found

    def slope(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, vector: tf.Tensor, seed: int
    ) -> tf.Tensor:
        """Slopes along one vector, without per-sample gradients."""
        return self._call(self._along, parameters, buffers, batch, vector, _seed(seed))

    def linearize(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, weights: tf.Tensor, seed: int
    ) -> Linearization:
        """Gradient and pullback, each in a graph of its own: cheaper than two that share results."""

        def found() -> tf.Tensor:
            return self.gradient(parameters, buffers, batch, weights, seed)[1]

        def pullback(vectors: tf.Tensor, buffer_vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            function = self._pullback if vectors.ndim == 1 else self._many_pullbacks
            more = weights, _seed(seed), vectors, buffer_vectors
            with named_layer_error(self.model, batch):
                bar, along, buffers_bar = self._call(function, parameters, buffers, batch, *more)
            return bar, along, buffers_bar

        return Linearization(found, pullback)

    def linearize_gauss_newton(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, weights: tf.Tensor, seed: int
    ) -> Linearization:
        """Gradient and pullback, each in a graph of its own."""

        def found() -> tf.Tensor:
            return self.gradient(parameters, buffers, batch, weights, seed)[1]

        def pullback(vectors: tf.Tensor, buffer_vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            more = weights, _seed(seed), vectors, buffer_vectors
            with named_layer_error(self.model, batch):
                through, along, before = self._call(self._gauss_newton, parameters, buffers, batch, *more)
            return through, along, before

        return Linearization(found, pullback)

    def _forward(self, parameters: Any, buffers: Any, batch: Batch, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        outputs, after = self.model.train_outputs(parameters, buffers, batch, seed)
        return self._per_sample(outputs, batch.targets), after

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

        return self._general(over, values, parameters, Batch(inputs, targets))

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

    def _general_rows(self, n: int, part: slice) -> tuple[Any, ...]:
        """Return what finds rows whatever the model's layers are, and what it takes beside the seed."""
        if not self.is_coupled:
            return (self._single_rows,)
        return self._coupled_rows, tf.eye(n, dtype=self.model.dtype)[part]

    def _plain(self, *args: Any) -> Sequence[LayerGradients]:
        return plain_gradients(self._plain_rows(*args))

    def _plain_rows(self, parameters: Any, buffers: Any, inputs: Any, targets: Any, seed: Any) -> tf.Tensor:
        function, *more = self._general_rows(len(Batch(inputs, targets)), slice(None))
        return function(parameters, buffers, inputs, targets, seed, *more)

    def _plain_slopes(self, *args: Any) -> tf.Tensor:
        *others, vectors = args
        return self.arrays.outer(vectors, self._plain_rows(*others))

    def _named_losses(self, parameters: Named, buffers: Named, batch: Batch, seed: Any) -> tf.Tensor:
        return self._forward(parameters, buffers, batch, seed)[0]

    def _gradients(
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

    def _gauss_newton_pullbacks(
        self,
        over: OverRows,
        parameters: Any,
        buffers: Any,
        inputs: Any,
        targets: Any,
        weights: Any,
        seed: Any,
        vectors: Any,
        buffer_vectors: Any,
    ) -> Any:
        """Pull back as `_pullbacks`, by the Gauss-Newton matrix."""

        def outputs_at(point: Any) -> tuple[tf.Tensor, tf.Tensor]:
            outputs, after = self.model.train_outputs(point[0], point[1], Batch(inputs, targets), seed)
            return check_tensor(outputs, "the Gauss-Newton matrix"), after

        along = slopes.by_rows if over is each_row else slopes.double_reverse
        values_of = partial(self._values, targets)
        pull = gauss_newton_pullback(outputs_at, [parameters, buffers], values_of, weights, along)
        bars = vectors, buffer_vectors
        return pull(bars) if vectors.shape.rank == 1 else over(pull, bars)

    def _values(self, targets: Any, outputs: Any) -> tf.Tensor:
        return self._per_sample(outputs, targets)


def _seed(seed: int) -> tf.Tensor:
    return tf.constant(seed, tf.int64)
