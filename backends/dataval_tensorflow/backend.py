"""A TensorFlow model with its loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.config import is_op_determinism_enabled

from dataval.backend import Arrays, Backend, ObjectiveFunction, Signature
from dataval.backend.losses import Loss, NamedLoss, TokenCrossEntropy, resolve_loss
from dataval.backend.outputs import natural_output
from dataval.backend.probabilities import warn_probabilities
from dataval.backend.recent import Recent
from dataval.backend.selection import Filter
from dataval.backend.targets import check_all_targets, check_named_targets
from dataval.backend.trial import (
    check_export,
    check_losses,
    check_repeatable,
    run_example,
    warn_ignored,
    warn_unused,
)
from dataval.data import Data, Samples
from dataval.errors import InvalidDataError, InvalidModelError
from dataval_tensorflow.batches import Batch, TensorFlowBatches
from dataval_tensorflow.cache import cache_key
from dataval_tensorflow.derivatives.evaluation import TensorFlowObjective
from dataval_tensorflow.derivatives.gradients import UNSUPPORTED, unused
from dataval_tensorflow.derivatives.loss import TensorFlowLoss
from dataval_tensorflow.derivatives.rehearsal import Rehearsal
from dataval_tensorflow.derivatives.second_order import inexact_layer
from dataval_tensorflow.derivatives.tracing import call, compiled
from dataval_tensorflow.losses import check_returned, of_outputs, per_sample_loss, target_dtype, token_losses
from dataval_tensorflow.model.functional import Caller, FunctionalModel, choose_device, make_caller
from dataval_tensorflow.model.kinks import kinked_layers
from dataval_tensorflow.model.layers import differentiable_operations, uses_onednn
from dataval_tensorflow.model.parameters import Named
from dataval_tensorflow.model.randomness import drawn_state, seeded
from dataval_tensorflow.model.settings import ignored_settings
from dataval_tensorflow.model.states import arrays_in, arrays_of_caller
from dataval_tensorflow.own_loss import check_own_loss
from dataval_tensorflow.products import einsum

__all__ = ["TensorFlowBackend"]

_CLASS_AXIS = -1
_STATE_ADVICE = (
    "that is no variable of it. Draw them from a keras.random.SeedGenerator or a tf.random.Generator that is "
    "an attribute of the model"
)
_recent: Recent[Any] = Recent(4)


class TensorFlowArrays(Arrays):
    """See `dataval.backend.Arrays`."""

    def __init__(self, dtype: tf.DType, device: str) -> None:
        super().__init__(dtype.name)
        self._device = device

    def from_numpy(self, array: NDArray[Any]) -> tf.Tensor:
        """Return a tensor of the parameters' dtype on the device."""
        with tf.device(self._device):
            return tf.constant(np.asarray(array, dtype=self.dtype))

    def inner(self, left: tf.Tensor, right: tf.Tensor, /) -> tf.Tensor:
        """Inner product along the last axis, kept."""
        return tf.reduce_sum(left * right, axis=-1, keepdims=True)

    def minimum(self, array: tf.Tensor, bound: float, /) -> tf.Tensor:
        """Elementwise minimum with a number."""
        return tf.minimum(array, bound)

    def outer(self, vectors: tf.Tensor, rows: tf.Tensor, /) -> tf.Tensor:
        """All inner products of vectors and rows."""
        return tf.matmul(vectors, rows, transpose_b=True)

    def stack(self, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        """Join along a new leading axis."""
        return tf.stack(arrays)

    def concatenate(self, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        """Join along the last axis."""
        return tf.concat(arrays, axis=-1)

    def empty(self, n: int, size: int, /) -> None:
        """Say that tensors can't be written to."""

    def reshape(self, array: tf.Tensor, shape: tuple[int, ...], /) -> tf.Tensor:
        """Another shape."""
        return tf.reshape(array, shape)

    def einsum(self, equation: str, *arrays: tf.Tensor) -> tf.Tensor:
        """Products, added up over axes."""
        return einsum(equation, *arrays)

    def take(self, array: tf.Tensor, indices: NDArray[np.int64], axis: int, /) -> tf.Tensor:
        """Entries along an axis."""
        return tf.gather(array, indices, axis=axis)

    def sum_by(self, rows: tf.Tensor, indices: NDArray[np.int64], n: int, /) -> tf.Tensor:
        """Add up rows with the same index."""
        return tf.math.unsorted_segment_sum(rows, indices, n)


class TensorFlowBackend(Backend):
    """See `dataval.backend.Backend`, which documents every method.

    Everything is computed by compiled functions, which are traced once for each batch size.

    Parameters
    ----------
    caller : Caller
        Calls the model.
    loss : str, NamedLoss or callable
    device, params, example, outputs
        As in `Backend.create`.
    """

    name: ClassVar[str] = "tensorflow"
    class_axis: ClassVar[int] = _CLASS_AXIS
    replay_conditions: ClassVar[tuple[str, ...]] = ("threads", "onednn", "deterministic")

    loss: TensorFlowLoss

    def __init__(
        self,
        caller: Caller,
        loss: Loss,
        *,
        device: str,
        params: Filter,
        example: Data,
        outputs: Callable[[Any], Any] | None = None,
    ) -> None:
        self._given = loss, device, params, example, outputs
        self.per_sample = per_sample_loss(loss)
        read = outputs or (natural_output if isinstance(resolve_loss(loss), NamedLoss) else None)
        self.model = FunctionalModel(caller, params, choose_device(device), read)
        self.arrays = TensorFlowArrays(self.model.dtype, self.model.device)
        self._rehearsal = Rehearsal(self.model, self._explore(example))
        self.loss = TensorFlowLoss(self.arrays, self.model, self.per_sample, self._rehearsal)
        self._predict = compiled(self._outputs)
        self._objectives: Recent[TensorFlowObjective] = Recent()

    def token_loss(self) -> TensorFlowLoss | None:
        """Return the loss token by token."""
        loss = resolve_loss(self._given[0])
        if not isinstance(loss, TokenCrossEntropy):
            return None
        return TensorFlowLoss(self.arrays, self.model, partial(token_losses, loss), self._rehearsal)

    @classmethod
    def handles(cls, model: Any) -> bool:
        """Whether `model` is a Keras model on TensorFlow, or a module."""
        is_keras = isinstance(model, keras.Model) and keras.backend.backend() == "tensorflow"
        return is_keras or isinstance(model, tf.Module)

    @classmethod
    def create(
        cls,
        model: Any,
        loss: Loss,
        *,
        device: str,
        params: Filter,
        seed: int,
        example: Data,
        build: Callable[[], Any] | None = None,
        outputs: Callable[[Any], Any] | None = None,
    ) -> TensorFlowBackend:
        """Build a backend and check it on a few samples."""
        caller = _caller(model, build, loss, device, seed, example)

        def make() -> TensorFlowBackend:
            return cls(caller, loss, device=device, params=params, example=example, outputs=outputs)

        key = cache_key(caller, loss, device, params, example, outputs)
        backend: TensorFlowBackend = make() if key is None else _recent.get(key, None, make)
        backend.check_example(example)
        warn_ignored(ignored_settings(model))
        backend.warn()
        return backend

    def warn(self) -> None:
        """Warn of what is likely to be meant otherwise."""
        warn_unused(self.unused)
        warn_probabilities(self, self._given[0], self._first_outputs, self._example, _CLASS_AXIS)

    @classmethod
    def seeded(cls, seed: int) -> AbstractContextManager[None]:
        """Seed Keras's and TensorFlow's generators."""
        return seeded(seed)

    @classmethod
    def random_state(cls) -> str:
        """Return the state of the generator of TensorFlow's operations."""
        return drawn_state()

    def check_example(self, example: Data) -> None:
        """Check what is wrong with samples rather than with the model, which others may have been run on."""
        batch = self.batches(example).take(np.arange(len(example)))
        if example is not self._given[3]:
            outputs = run_example(lambda: self.predict(*self.initial(), batch), batch.inputs, len(batch))
            check_named_targets(self._given[0], outputs, example.targets, _CLASS_AXIS)
        check_losses(self.arrays.to_numpy(self.loss.losses(*self.initial(), batch, 0)), len(batch))

    def __reduce__(self) -> tuple[Any, ...]:
        """Be built anew in another process: compiled functions can't travel."""
        return _rebuild, (type(self), self.model.caller, *self._given)

    @property
    def signature(self) -> Signature:
        """Names and shapes of the parameters and buffers."""
        layout, buffers = self.model.layout, self.model.buffer_layout
        return Signature(
            tuple(zip(layout.names, layout.shapes, strict=True)),
            tuple(zip(buffers.names, buffers.shapes, strict=True)),
            self.arrays.dtype,
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

    def own_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the values of all variables of the model by name, but for random generators."""
        return arrays_of_caller(self.model.caller, self.model.own)

    def arrays_of(self, given: Any) -> dict[str, NDArray[Any]]:
        """Return the arrays of a model, a list of weights, or a file with them."""
        return arrays_in(given, self.model.caller, self.model.own)

    def export(self, parameters: tf.Tensor, buffers: tf.Tensor) -> Any:
        """Return a copy of the caller's model with these values."""
        exported = self.model.export(parameters, buffers)
        if not self.model.is_stochastic_in_evaluation:
            self._check_export(exported, parameters, buffers)
        return exported

    def batches(self, data: Samples) -> TensorFlowBatches:
        """Return data from which batches are taken."""
        dtype, loss = self.model.dtype, self._given[0]
        return TensorFlowBatches(data, self.model.device, dtype, partial(target_dtype, loss, dtype=dtype))

    @property
    def is_accelerated(self) -> bool:
        """Whether the model is not on the CPU."""
        return "CPU" not in self.model.device.upper()

    @property
    def free_bytes(self) -> int | None:
        """What is free beside a model on the CPU; an accelerator doesn't tell."""
        return None if self.is_accelerated else super().free_bytes

    def check_targets(self, data: Samples) -> None:
        """Raise if targets don't fit a named loss."""
        batch = self.batches(data).take(np.arange(min(len(data), 2)))
        outputs = self.predict(*self.initial(), batch)
        check_all_targets(self._given[0], outputs, data, _CLASS_AXIS)

    def predict(self, parameters: tf.Tensor, buffers: tf.Tensor, batch: Batch) -> Any:
        """Return the outputs in evaluation mode."""
        return call(self.model.device, self._predict, parameters, buffers, batch)

    def objective(self, function: ObjectiveFunction | None = None) -> TensorFlowObjective:
        """Return the compiled functions of an objective, keeping those of the last few."""
        return self._objectives.get(id(function), function, lambda: self._make_objective(function))

    def in_double(self, batch: Batch) -> tuple[TensorFlowBackend, Batch] | None:
        """Return a backend of the same model in float64, where it can be made anew in it."""
        if self.model.dtype == tf.float64:
            return None
        loss, device, params, _, outputs = self._given
        arrays = batch.map(lambda leaf: leaf.numpy())
        example = Data(arrays.inputs, arrays.targets)
        try:
            twin = self.model.caller.doubled(self.model.own)
            caller = make_caller(twin, None, 0, batch)
            double = type(self)(caller, loss, device=device, params=params, example=example, outputs=outputs)
        except (InvalidModelError, InvalidDataError, *UNSUPPORTED):
            return None
        if double.model.dtype != tf.float64:
            return None
        return double, double.batches(example).take(np.arange(len(batch)))

    def blame(self, batch: Batch) -> str | None:
        """Name the layer without an exact second derivative."""
        return inexact_layer(self.model, batch)

    def kinks(self) -> tuple[str, ...]:
        """Return the kinds of layers and activations with kinks; functions that a call makes are not seen."""
        return kinked_layers(self.model.caller)

    def _make_objective(self, function: ObjectiveFunction | None) -> TensorFlowObjective:
        fast = self.loss.can_be_vectorised
        value = self.per_sample if function is None else of_outputs(function)
        return TensorFlowObjective(self.arrays, self.model, value, self._rehearsal, fast=fast)

    def _check_export(self, exported: Any, parameters: tf.Tensor, buffers: tf.Tensor) -> None:
        batch = self._example
        with tf.device(self.model.device), differentiable_operations():
            expected = self.model.eval_outputs(parameters, buffers, batch)
            found = self.model.outputs_of_exported(exported, batch)
        check_export(tf.nest.flatten(found), tf.nest.flatten(expected))

    def _explore(self, example: Data) -> Batch:
        """Run the model on a few samples, check what it returns, and return them."""
        self._example = batch = self.batches(example).take(np.arange(len(example)))
        outputs = run_example(lambda: self.model.explore(batch), batch.inputs, len(batch))
        self._first_outputs = outputs
        check_named_targets(self._given[0], outputs, example.targets, _CLASS_AXIS)
        if not isinstance(resolve_loss(self._given[0]), NamedLoss):
            with tf.device(self.model.device):
                check_own_loss(self.per_sample, outputs, batch.targets)
        losses_of, leaves = self._example_losses(batch), self.model.leaves()
        losses = self.arrays.to_numpy(check_returned(losses_of(leaves)))
        check_losses(losses, len(batch))
        self.unused = unused(losses_of, leaves)
        check_repeatable(losses, self.arrays.to_numpy(losses_of(leaves)), _STATE_ADVICE)
        return batch

    def _example_losses(self, batch: Batch) -> Callable[[Named], tf.Tensor]:
        """Return the training losses of a batch as an eager function of parameters by name."""

        def losses(leaves: Named) -> tf.Tensor:
            with tf.device(self.model.device), differentiable_operations():
                return self.per_sample(self.model.outputs_of(leaves, batch), batch.targets)

        return losses

    def _outputs(self, parameters: tf.Tensor, buffers: tf.Tensor, inputs: Any, targets: tf.Tensor) -> Any:
        return self.model.eval_outputs(parameters, buffers, Batch(inputs, targets))


def _caller(
    model: Any, build: Callable[[], Any] | None, loss: Loss, device: str, seed: int, example: Data
) -> Caller:
    batches = TensorFlowBatches(
        example, choose_device(device), tf.float32, partial(target_dtype, loss, dtype=tf.float32)
    )
    return make_caller(model, build, seed, batches.take(np.arange(len(example))))


def _rebuild(cls: type[TensorFlowBackend], caller: Caller, *given: Any) -> TensorFlowBackend:
    loss, device, params, example, outputs = given
    return cls(caller, loss, device=device, params=params, example=example, outputs=outputs)
