"""Keras models, called with other values for their variables."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from tempfile import TemporaryDirectory
from typing import Any

import keras
import tensorflow as tf
from keras.src.utils.naming import to_snake_case

from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.model.calling import Call
from dataval_tensorflow.model.parameters import Named
from dataval_tensorflow.model.randomness import layer_state, seeded
from dataval_tensorflow.model.settings import check_added_losses, check_model

__all__ = ["KerasCaller"]


class KerasCaller:
    """A Keras model as a function of its variables' values; the model itself only lends its layers.

    Parameters
    ----------
    model : keras.Model
        It must have its variables already.
    build : callable, optional
        Builds such a model anew; where it is missing, a copy is made through Keras's own serialisation.
    """

    def __init__(self, model: keras.Model, build: Callable[[], keras.Model] | None = None) -> None:
        _check_built(model)
        self.model = model
        self._build = build
        self._call = Call(model.call, bound=False)
        self._names = stable_names(model)
        self._variables = {self._names[id(v)]: v for v in model.variables}
        trainable = {id(v) for v in model.trainable_variables}
        self.trainable = {name: v for name, v in self._variables.items() if id(v) in trainable}
        self.state = {name: v for name, v in self._variables.items() if id(v) not in trainable}
        self.seeds = tuple(name for name, v in self.state.items() if _is_seed(v))
        check_model(model)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as what builds the model, if there is such a thing, and its weights."""
        if self._build is None:
            return KerasCaller, (self.model,)
        return _rebuild, (self._build, self.model.get_weights())

    @staticmethod
    def build(model: keras.Model, batch: Batch) -> None:
        """Let a model that has no weights yet make them."""
        Call(model.call, bound=False)(model, batch, training=False, tell=True)

    def seeded(self, seed: tf.Tensor) -> Named:
        """Return the states of all seed generators for a forward pass."""
        return {
            name: layer_state(seed, index, tf.as_dtype(self.state[name].dtype))
            for index, name in enumerate(self.seeds)
        }

    def call(self, values: Named, batch: Batch, *, training: bool) -> tuple[Any, Named]:
        """Return the outputs under these values, and all values after the call."""
        with self.scope(values) as scope:
            outputs = self._call(self.model, batch, training=training, tell=True)
        check_added_losses(scope.losses)
        after = {name: scope.get_current_value(v) for name, v in self._variables.items()}
        return outputs, after

    def scope(self, values: Named) -> keras.StatelessScope:
        """Return a context in which the model's layers see these values."""
        mapping = [(v, values[name]) for name, v in self._variables.items()]
        return keras.StatelessScope(state_mapping=mapping, collect_losses=True)

    def export(self, values: Named) -> keras.Model:
        """Return a copy of the model holding these values."""
        return _filled(self._build() if self._build else _copy(self.model, _same), values)

    def predict(self, model: keras.Model, batch: Batch) -> Any:
        """Return the outputs of an exported model in evaluation mode, whatever state it would assign."""
        with keras.StatelessScope():
            return self._call(model, batch, training=False, tell=True)

    def doubled(self, values: Named) -> keras.Model:
        """Return a copy of the model in float64 holding these values."""
        return _filled(_copy(self.model, _in_double), values)


def _rebuild(build: Callable[[], keras.Model], weights: list[Any]) -> KerasCaller:
    model = build()
    model.set_weights(weights)
    return KerasCaller(model, build)


def stable_names(model: keras.Model) -> dict[int, str]:
    """Return a name for every variable, by its id, that doesn't depend on which models were built before.

    Keras numbers the layers of a process that got no name; here those of one model are numbered from the first.
    """
    renamed = _renumbered(layer for layer in _layers(model) if layer is not model)
    names: dict[int, str] = {}
    taken: set[str] = set()
    for variable in model.variables:
        parts = [renamed.get(part, part) for part in variable.path.split("/") if part != model.name]
        base = name = "/".join(parts)
        count = 1
        while name in taken:
            count += 1
            name = f"{base}#{count}"
        taken.add(name)
        names[id(variable)] = name
    return names


def _renumbered(layers: Iterable[keras.Layer]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    counts: dict[str, int] = {}
    for layer in layers:
        kind = to_snake_case(type(layer).__name__)
        if layer.name in renamed or not re.fullmatch(rf"{re.escape(kind)}(_\d+)?", layer.name):
            continue
        count = counts[kind] = counts.get(kind, -1) + 1
        renamed[layer.name] = f"{kind}_{count}" if count else kind
    return renamed


def _layers(model: keras.Model) -> list[keras.Layer]:
    return list(model._flatten_layers())


def _is_seed(variable: Any) -> bool:
    return str(variable.path).endswith("seed_generator_state")


def _copy(model: keras.Model, change: Callable[[Any], Any]) -> keras.Model:
    """Copy a model through its configuration, whether or not its classes are registered with Keras."""
    custom: dict[str, Any] = {type(layer).__name__: type(layer) for layer in _layers(model)}
    functions = [v for layer in _layers(model) for v in vars(layer).values() if inspect.isfunction(v)]
    custom |= {function.__name__: function for function in functions}
    try:
        with seeded(0), keras.saving.custom_object_scope(custom):
            config = change(keras.saving.serialize_keras_object(model))
            twin = keras.saving.deserialize_keras_object(config, custom_objects=custom, safe_mode=False)
            if not twin.built:
                twin.build_from_config(model.get_build_config() or {})
        if [v.shape for v in twin.variables] != [v.shape for v in model.variables]:
            raise ValueError("the copy has other variables")
    except Exception as error:
        raise InvalidModelError(
            f"the model can't be copied ({str(error).strip()[:200]} …): pass a function without "
            "arguments that builds it instead"
        ) from error
    _carry_assets(model, twin)
    return twin


def _carry_assets(model: keras.Model, twin: keras.Model) -> None:
    """Copy what layers keep outside of variables and configuration: vocabularies."""
    for layer, copied in zip(_layers(model), _layers(twin), strict=True):
        if hasattr(layer, "save_assets"):
            with TemporaryDirectory() as folder:
                layer.save_assets(folder)
                copied.load_assets(folder)


def _filled(model: keras.Model, values: Named) -> keras.Model:
    names = stable_names(model)
    for variable in model.variables:
        value = values.get(names[id(variable)])
        if value is not None:
            variable.assign(tf.cast(value, variable.dtype))
    for layer in _layers(model):
        if layer.variables and hasattr(layer, "finalize_state"):  # constants of them, as in Normalization
            layer.finalize_state()
    return model


def _same(config: Any) -> Any:
    return config


def _in_double(config: Any) -> Any:
    """Replace a dtype in a configuration wherever it stands."""
    if isinstance(config, dict):
        return {key: _in_double(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_in_double, config))
    return "float64" if isinstance(config, str) and config == "float32" else config


def _check_built(model: keras.Model) -> None:
    if not model.built or (not model.variables and any(not layer.built for layer in _layers(model))):
        raise InvalidModelError(
            f"the model {model.name!r} has no weights yet: call it once on a batch, begin it with keras.Input, "
            "or pass a function without arguments that builds it"
        )
