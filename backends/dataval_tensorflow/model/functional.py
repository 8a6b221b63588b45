"""The caller's model, called as a function of flat parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from dataval.backend.selection import Filter
from dataval.backend.trial import check_device_name
from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.model.keras_models import KerasCaller
from dataval_tensorflow.model.layers import differentiable_operations
from dataval_tensorflow.model.modules import ModuleCaller
from dataval_tensorflow.model.parameters import Layout, Named, select_parameters
from dataval_tensorflow.model.randomness import seeded
from dataval_tensorflow.model.settings import check_variables

__all__ = ["Caller", "FunctionalModel", "choose_device", "make_caller"]

Caller = KerasCaller | ModuleCaller


class FunctionalModel:
    """A model as a pure function (parameters, buffers, batch, seed) -> outputs (, new buffers).

    Parameters
    ----------
    caller : KerasCaller or ModuleCaller
    params
        Which parameters are free.
    device : str
    outputs : callable, optional
        Applied to what the model returns.
    """

    def __init__(
        self, caller: Caller, params: Filter, device: str, outputs: Callable[[Any], Any] | None = None
    ) -> None:
        self._read = outputs or _as_it_is
        self.device = device
        self.caller = caller
        with tf.device(device):
            self.own = {
                name: tf.constant(variable.numpy())
                for name, variable in (caller.trainable | caller.state).items()
            }
            trainable = {name: self.own[name] for name in caller.trainable}
            selected = select_parameters(trainable, params, has_frozen=bool(self.own))
            check_variables({name: caller.trainable[name] for name in selected})
            self.layout = Layout(selected)
            self.dtype = next(iter(selected.values())).dtype
            self.parameters = self.layout.join(list(selected.values()), self.dtype)
        self.buffer_layout = Layout({})
        self.buffers = tf.zeros((0,), self.dtype)
        self.is_stochastic = self.is_stochastic_in_evaluation = False

    def explore(self, batch: Batch) -> Any:
        """Run the model to find out which buffers it changes and whether it draws random numbers.

        Returns
        -------
        The outputs, in training mode.

        Raises
        ------
        InvalidModelError
            If the forward pass changes the parameters.
        """
        values = self.own | self.caller.seeded(tf.constant(0, tf.int64))
        with tf.device(self.device), differentiable_operations():
            outputs, after = self._call(values, batch, training=True)
            _, after_evaluation = self.caller.call(values, batch, training=False)
        self.is_stochastic = self._drew(values, after)
        self.is_stochastic_in_evaluation = self._drew(values, after_evaluation)
        changed = {
            name: value
            for name, value in values.items()
            if name not in self.caller.seeds and after[name] is not value
        }
        _check_untouched([name for name in changed if name in self.caller.trainable])
        self.buffer_layout = Layout(changed)
        self.buffers = self.buffer_layout.join(list(changed.values()), self.dtype)
        self.has_batch_statistics = bool(changed)
        return outputs

    def train_outputs(
        self, parameters: tf.Tensor | Named, buffers: tf.Tensor | Named, batch: Batch, seed: tf.Tensor
    ) -> tuple[Any, tf.Tensor]:
        """Return outputs and new buffers of a training-mode forward pass, at flat values or those by name."""
        outputs, after = self._call(self._values(parameters, buffers, seed), batch, training=True)
        return outputs, self.buffer_layout.join([after[name] for name in self.buffer_layout.names], self.dtype)

    def eval_outputs(self, parameters: tf.Tensor | Named, buffers: tf.Tensor | Named, batch: Batch) -> Any:
        """Return the outputs of an evaluation-mode forward pass, at flat values or those by name."""
        values = self._values(parameters, buffers, tf.constant(0, tf.int64))
        return self._call(values, batch, training=False)[0]

    def leaves(self) -> Named:
        """Return the model's own parameters by name."""
        return self.layout.named(self.parameters)

    def outputs_of(self, leaves: Named, batch: Batch) -> Any:
        """Return the training-mode outputs of parameters by name, under the model's own buffers and seed 0."""
        values = self.own | self.caller.seeded(tf.constant(0, tf.int64)) | leaves
        return self._call(values, batch, training=True)[0]

    def outputs_of_exported(self, model: Any, batch: Batch) -> Any:
        """Return the outputs of an exported model in evaluation mode."""
        return self._read(self.caller.predict(model, batch))

    def export(self, parameters: tf.Tensor, buffers: tf.Tensor) -> Any:
        """Return a copy of the caller's model with these values."""
        return self.caller.export(self.own | self.layout.named(parameters) | self._cast_buffers(buffers))

    def _call(self, values: Named, batch: Batch, *, training: bool) -> tuple[Any, Named]:
        outputs, after = self.caller.call(values, batch, training=training)
        return self._read(outputs), after

    def _values(self, parameters: tf.Tensor | Named, buffers: tf.Tensor | Named, seed: tf.Tensor) -> Named:
        constants = {name: tf.stop_gradient(value) for name, value in self.own.items()}
        free = self.layout.named(parameters) | self._cast_buffers(buffers)
        return constants | free | self.caller.seeded(seed)

    def _cast_buffers(self, buffers: tf.Tensor | Named) -> Named:
        named = self.buffer_layout.named(buffers)
        return {name: tf.cast(piece, self.own[name].dtype) for name, piece in named.items()}

    def _drew(self, before: Named, after: Named) -> bool:
        return any(bool(tf.reduce_any(before[name] != after[name])) for name in self.caller.seeds)


def make_caller(model: Any, build: Callable[[], Any] | None, seed: int, batch: Batch) -> Caller:
    """Return a caller of a Keras model or a module.

    A Keras model that `build` built, and that comes without weights, gets them by being called on the batch,
    under the seed.

    Raises
    ------
    InvalidModelError
        If a model of the caller's own has no weights yet, or can't be copied.
    """
    if isinstance(model, tf.Module) and not isinstance(model, keras.Model):
        return ModuleCaller(model)
    if build is None:
        return KerasCaller(model)

    return KerasCaller(_with_weights(lambda: model, seed, batch), partial(_with_weights, build, seed, batch))


def _with_weights(build: Callable[[], keras.Model], seed: int, batch: Batch) -> keras.Model:
    built = build()
    if not built.built:
        with seeded(seed):
            KerasCaller.build(built, batch)
    return built


def choose_device(name: str) -> str:
    """Return the device that a name stands for; ``"auto"`` is a GPU where there is one.

    Raises
    ------
    ValueError, TypeError
        If there is no such device, or this is no name.
    """
    known = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    if check_device_name(name, known) == "auto":
        return "/GPU:0" if tf.config.list_logical_devices("GPU") else "/CPU:0"
    short = name.upper().removeprefix("/").removeprefix("DEVICE:").replace("CUDA", "GPU")
    short = short if ":" in short else f"{short}:0"
    if short not in known:
        raise ValueError(f"TensorFlow sees no device {name!r}; it has {known}")
    return f"/{short}"


def _as_it_is(returned: Any) -> Any:
    return returned


def _check_untouched(changed: list[str]) -> None:
    if changed:
        raise InvalidModelError(
            f"the model changes its parameters {changed} in the forward pass: this is no part of an "
            "optimizer's update, so that no run can be recorded. Constrain them otherwise"
        )
