"""The loss of a TensorFlow model and its derivatives."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.config import is_op_determinism_enabled

from dataval.backend.contract import Backend, Linearization, Objective, Signature
from dataval.backend.losses import Loss
from dataval.data import Data
from dataval_tensorflow.batches import Batch, TensorFlowBatches
from dataval_tensorflow.cache import Recent
from dataval_tensorflow.derivatives.curvature import Curvature
from dataval_tensorflow.derivatives.evaluation import Evaluation
from dataval_tensorflow.derivatives.gradients import unused
from dataval_tensorflow.derivatives.loss import TrainingLoss
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.second_order import check_twice_differentiable, named_layer_error
from dataval_tensorflow.derivatives.tracing import compiled
from dataval_tensorflow.losses import (
    check_losses,
    check_named_targets,
    check_repeatable,
    per_sample_loss,
    target_dtype,
)
from dataval_tensorflow.model.functional import (
    Caller,
    FunctionalModel,
    choose_device,
    make_caller,
    run_example,
    warn_unused,
)
from dataval_tensorflow.model.layers import differentiable_operations, uses_onednn
from dataval_tensorflow.model.parameters import Filter, Named

__all__ = ["TensorFlowBackend"]

_MAX_OBJECTIVES = 8
_recent = Recent()


class TensorFlowBackend(Backend):
    """See `dataval.backend.contract.Backend`, which documents every method.

    Everything is computed by compiled functions, which are traced once for each batch size.

    Parameters
    ----------
    model : keras.Model, tf.Module or callable
    loss : str, NamedLoss or callable
    device, params, seed, example
        As in `Backend.create`.
    caller : Caller, optional
        A caller of `model`, where there is one already.
    """

    name: ClassVar[str] = "tensorflow"
    replay_conditions: ClassVar[tuple[str, ...]] = ("threads", "onednn", "deterministic")

    def __init__(
        self,
        model: Any,
        loss: Loss,
        *,
        device: str,
        params: Filter,
        seed: int,
        example: Data,
        caller: Caller | None = None,
    ) -> None:
        self.given = model, loss, device, params, seed, example
        self.loss = loss
        self._loss = per_sample_loss(loss)
        caller = caller or _caller(model, loss, device, seed, example)
        self.model = FunctionalModel(caller, params, choose_device(device))
        self._rehearsal = Rehearsal(self.model, self._explore(example))
        self._training = TrainingLoss(self.model, self._loss, self._rehearsal)
        fast = self._training.can_be_vectorised
        self._curvature = Curvature(self.model, self._loss, self._rehearsal, fast=fast)
        self._predict = compiled(self._outputs)
        self._evaluations: dict[int, tuple[Objective, Evaluation]] = {}

    @classmethod
    def handles(cls, model: Any) -> bool:
        """Whether `model` is a Keras model on TensorFlow, or a module."""
        is_keras = isinstance(model, keras.Model) and keras.backend.backend() == "tensorflow"
        return is_keras or isinstance(model, tf.Module)

    @classmethod
    def create(
        cls, model: Any, loss: Loss, *, device: str, params: Filter, seed: int, example: Data
    ) -> TensorFlowBackend:
        """Build a backend and check it on a few samples."""
        caller = _caller(model, loss, device, seed, example)
        key = _recent.key(caller, loss, device, params, seed, example)
        backend = _recent.get(key)
        if backend is None:
            backend = cls(model, loss, device=device, params=params, seed=seed, example=example, caller=caller)
            _recent.keep(key, backend)
        else:
            backend.check_example(example)
        warn_unused(backend.unused)
        return backend

    def check_example(self, example: Data) -> None:
        """Check what is wrong with samples rather than with the model."""
        batch = self.batches(example).take(np.arange(len(example)))
        check_losses(self.losses(*self.initial(), batch, 0), len(batch))

    def __reduce__(self) -> tuple[Any, ...]:
        """Be built anew in another process: compiled functions can't travel."""
        model, loss, device, params, seed, example = self.given
        return _rebuild, (type(self), model, loss, device, params, seed, example)

    @property
    def signature(self) -> Signature:
        """Names and shapes of the parameters and buffers."""
        layout, buffers = self.model.layout, self.model.buffer_layout
        return Signature(
            tuple(zip(layout.names, layout.shapes, strict=True)),
            tuple(zip(buffers.names, buffers.shapes, strict=True)),
            self.model.dtype.name,
        )

    @property
    def environment(self) -> dict[str, str]:
        """Versions, device, and what else decides on the order of summation."""
        return {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "device": self.model.device,
            "threads": str(tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()),
            "onednn": str(uses_onednn()),
            "deterministic": str(is_op_determinism_enabled()),
        }

    def initial(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the model's own parameters and buffers."""
        return self.model.parameters, self.model.buffers

    def export(self, parameters: tf.Tensor, buffers: tf.Tensor) -> Any:
        """Return a copy of the caller's model with these values."""
        return self.model.export(parameters, buffers)

    # ---- data and arrays -------------------------------------------------------------------------

    def batches(self, data: Data) -> TensorFlowBatches:
        """Return data from which batches are taken."""
        dtype = self.model.dtype
        return TensorFlowBatches(data, self.model.device, dtype, target_dtype(self.loss, data.targets, dtype))

    def check_targets(self, data: Data) -> None:
        """Raise if targets don't fit a named loss."""
        batch = self.batches(data).take(np.arange(min(len(data), 2)))
        outputs = self.predict(*self.initial(), batch)
        check_named_targets(self.loss, outputs, data.targets)

    def from_numpy(self, array: NDArray[Any]) -> tf.Tensor:
        """Return a tensor of the parameters' dtype on the device."""
        with tf.device(self.model.device):
            return tf.constant(np.asarray(array, dtype=self.model.dtype.as_numpy_dtype))

    @staticmethod
    def to_numpy(array: tf.Tensor) -> NDArray[Any]:
        """Return a NumPy array."""
        found: NDArray[Any] = array.numpy()
        return found

    def inner(self, left: tf.Tensor, right: tf.Tensor, /) -> tf.Tensor:
        """Inner product along the last axis, kept."""
        return tf.reduce_sum(left * right, axis=-1, keepdims=True)

    def minimum(self, array: tf.Tensor, bound: float, /) -> tf.Tensor:
        """Elementwise minimum with a number."""
        return tf.minimum(array, bound)

    def outer_slopes(self, vectors: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """All inner products of vectors and rows."""
        return tf.matmul(vectors, rows, transpose_b=True)

    # ---- the training loss -----------------------------------------------------------------------

    def losses(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, seed: int) -> tf.Tensor:
        """Per-sample losses in training mode."""
        return self._call(self._training.losses, parameters, buffers, batch, _seed(seed))

    def gradient(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, weights: tf.Tensor, seed: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Losses, gradient of the weighted loss, new buffers."""
        found: tuple[tf.Tensor, tf.Tensor, tf.Tensor] = self._call(
            self._training.gradient, parameters, buffers, batch, weights, _seed(seed)
        )
        return found

    def ensemble_gradient(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, weights: tf.Tensor, seed: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`gradient` over a leading axis."""
        found: tuple[tf.Tensor, tf.Tensor, tf.Tensor] = self._call(
            self._training.ensemble, parameters, buffers, batch, weights, _seed(seed)
        )
        return found

    def loss_jvp(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, vector: tf.Tensor, seed: int
    ) -> tf.Tensor:
        """Per-sample slopes along a vector."""
        return self._call(self._training.slopes, parameters, buffers, batch, vector, _seed(seed))

    def gradient_vjp(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, weights: tf.Tensor, seed: int
    ) -> Linearization:
        """Gradient and pullback, each in a graph of its own: cheaper than two that share results."""

        def found() -> tf.Tensor:
            return self.gradient(parameters, buffers, batch, weights, seed)[1]

        def pullback(vectors: tf.Tensor, buffer_vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            one = vectors.shape.rank == 1
            function = self._training.pullback if one else self._training.pullbacks
            more = weights, _seed(seed), vectors, buffer_vectors
            with named_layer_error(self, batch):
                return tuple(self._call(function, parameters, buffers, batch, *more))

        return Linearization(found, pullback)

    def check_second_order(self, batch: Batch) -> None:
        """Raise, naming the layer, if the pullback will not be exact."""
        check_twice_differentiable(self, batch)

    def per_sample_gradients(
        self,
        parameters: tf.Tensor,
        buffers: tf.Tensor,
        batch: Batch,
        seed: int,
        rows: slice | None = None,
    ) -> tf.Tensor:
        """Gradients of the losses of some rows."""
        rows = rows or slice(None)
        if not (self.model.has_batch_statistics or self.model.is_stochastic):
            return self._call(self._training.rows, parameters, buffers, batch.rows(rows), _seed(seed))
        selection = tf.eye(len(batch), dtype=self.model.dtype)[rows]
        return self._call(self._training.selected_rows, parameters, buffers, batch, _seed(seed), selection)

    # ---- evaluation mode -------------------------------------------------------------------------

    def predict(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch) -> Any:
        """Return the outputs in evaluation mode."""
        return self._call(self._predict, parameters, buffers, batch)

    def objective(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, objective: Objective
    ) -> tf.Tensor:
        """Objective of every sample in evaluation mode."""
        values = self._evaluation(objective).values
        if parameters.shape.rank == 1:
            return self._call(values, parameters, buffers, batch)
        return tf.stack([self._call(values, p, b, batch) for p, b in zip(parameters, buffers, strict=True)])

    def objective_gradient(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, objective: Objective
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Gradient of the summed objective."""
        bars, buffers_bar = self._call(self._evaluation(objective).gradient, parameters, buffers, batch)
        return bars, buffers_bar

    def objective_gradients(
        self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, objective: Objective
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Gradient of every sample's objective."""
        rows, buffer_rows = self._call(self._evaluation(objective).rows, parameters, buffers, batch)
        return rows, buffer_rows

    def objective_jvp(
        self,
        parameters: tf.Tensor,
        buffers: tf.Tensor,
        batch: Batch,
        vectors: tf.Tensor,
        objective: Objective,
    ) -> tf.Tensor:
        """Slopes of every sample's objective along one vector or K."""
        return self._call(self._evaluation(objective).slopes, parameters, buffers, batch, vectors)

    def hessian_vector_product(
        self,
        parameters: tf.Tensor,
        buffers: tf.Tensor,
        batch: Batch,
        weights: tf.Tensor,
        vectors: tf.Tensor,
    ) -> tf.Tensor:
        """Hessian product in evaluation mode."""
        with named_layer_error(self, batch):
            return self._call(self._curvature.hessian, parameters, buffers, batch, weights, vectors)

    def gauss_newton_vector_product(
        self,
        parameters: tf.Tensor,
        buffers: tf.Tensor,
        batch: Batch,
        weights: tf.Tensor,
        vectors: tf.Tensor,
    ) -> tf.Tensor:
        """Gauss-Newton product in evaluation mode."""
        return self._call(self._curvature.gauss_newton, parameters, buffers, batch, weights, vectors)

    def _call(self, function: Any, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch, *more: Any) -> Any:
        with tf.device(self.model.device):
            return function(parameters, buffers, batch.inputs, batch.targets, *more)

    def _evaluation(self, objective: Objective) -> Evaluation:
        """Return the compiled functions of an objective, keeping those of the last few."""
        key = id(objective)
        if key not in self._evaluations:
            if len(self._evaluations) >= _MAX_OBJECTIVES:
                del self._evaluations[next(iter(self._evaluations))]
            function = objective or self._loss
            fast = self._training.can_be_vectorised
            made = Evaluation(self.model, function, self._rehearsal, fast=fast)
            self._evaluations[key] = objective, made
        return self._evaluations[key][1]

    def _explore(self, example: Data) -> Batch:
        """Run the model on a few samples, check what it returns, and return them."""
        batch = self.batches(example).take(np.arange(len(example)))
        outputs = run_example(self.model, batch)
        check_named_targets(self.loss, outputs, example.targets)
        losses = self._example_losses(batch)(self.model.leaves())
        check_losses(losses, len(batch))
        self.unused = unused(self._example_losses(batch), self.model.leaves())
        check_repeatable(losses, self._example_losses(batch)(self.model.leaves()))
        return batch

    def _example_losses(self, batch: Batch) -> Callable[[Named], tf.Tensor]:
        """Return the training losses of a batch as an eager function of parameters by name."""

        def losses(leaves: Named) -> tf.Tensor:
            with tf.device(self.model.device), differentiable_operations():
                return self._loss(self.model.outputs_of(leaves, batch), batch.targets)

        return losses

    def _outputs(self, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: tf.Tensor) -> Any:
        return self.model.eval_outputs(parameters, buffers, Batch(inputs, targets))


def _caller(model: Any, loss: Loss, device: str, seed: int, example: Data) -> Caller:
    batches = TensorFlowBatches(
        example, choose_device(device), tf.float32, target_dtype(loss, example.targets, tf.float32)
    )
    return make_caller(model, seed, batches.take(np.arange(len(example))))


def _seed(seed: int) -> tf.Tensor:
    return tf.constant(seed, tf.int64)


def _rebuild(cls: type[TensorFlowBackend], *given: Any) -> TensorFlowBackend:
    model, loss, device, params, seed, example = given
    return cls(model, loss, device=device, params=params, seed=seed, example=example)
