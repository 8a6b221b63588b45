"""Which layer is to blame where a model can't be differentiated twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval.backend.second_order import STEPS, is_close, missing_second_derivative
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.gradients import gradient
from dataval_tensorflow.model.functional import FunctionalModel
from dataval_tensorflow.model.keras_models import KerasCaller
from dataval_tensorflow.model.layers import differentiable_operations
from dataval_tensorflow.model.modules import ModuleCaller
from dataval_tensorflow.model.parameters import Named

__all__ = ["inexact_layer", "named_layer_error"]

Layer = Callable[..., Any]
"""A layer as a function of its positional arguments."""


def inexact_layer(model: FunctionalModel, batch: Batch) -> str | None:
    """Name the first layer whose second derivative differs from differences."""
    return _find_layer(model, batch, _is_exact)


@contextmanager
def named_layer_error(model: FunctionalModel, batch: Batch) -> Iterator[None]:
    """Turn the error of a missing second derivative into one that names the layer."""
    try:
        yield
    except LookupError as error:
        raise missing_second_derivative(_find_layer(model, batch, _has_second_derivative), error) from error


def _find_layer(
    model: FunctionalModel, batch: Batch, is_fine: Callable[[Layer, list[Any]], bool]
) -> str | None:
    """Return the name and type of the first innermost Keras layer that isn't fine."""
    if isinstance(model.caller, ModuleCaller):
        return None
    values = model.own | model.caller.seeded(tf.constant(0, tf.int64))
    inner = [layer for layer in model.caller.model._flatten_layers(include_self=False) if not _parts(layer)]
    with tf.device(model.device), differentiable_operations():
        with _recorded() as calls:
            model.caller.call(values, batch, training=True)
        for layer, args, keywords in calls:
            run = partial(_run, model.caller, values, layer, keywords)
            if any(layer is one for one in inner) and not is_fine(run, list(args)):
                return f"the layer {layer.name!r} ({type(layer).__name__})"
    return None


@contextmanager
def _recorded() -> Iterator[list[tuple[Any, tuple[Any, ...], dict[str, Any]]]]:
    """Note all calls of Keras layers."""
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
    original = keras.Layer.__call__

    def noted(self: Any, *args: Any, **keywords: Any) -> Any:
        outputs = original(self, *args, **keywords)
        calls.append((self, args, keywords))
        return outputs

    keras.Layer.__call__ = noted
    try:
        yield calls
    finally:
        keras.Layer.__call__ = original


def _run(caller: KerasCaller, values: Named, layer: Any, keywords: dict[str, Any], *args: Any) -> Any:
    """Call a layer with the values that the model began with: one that draws always draws the same."""
    with caller.scope(values):
        return layer(*args, **keywords)


def _parts(layer: Any) -> list[Any]:
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _has_second_derivative(layer: Layer, args: list[Any]) -> bool:
    try:
        _layer_gradients(layer, args, again=True)
    except LookupError:
        return False
    return True


def _is_exact(layer: Layer, args: list[Any]) -> bool:
    """Whether a layer's second derivative in its floating-point arguments is what differences say."""
    floats = [i for i, arg in enumerate(args) if tf.is_tensor(arg) and arg.dtype.is_floating]
    if not floats:
        return True
    directions = {i: _noise(args[i]) for i in floats}
    dtype = args[floats[0]].dtype.name
    step = STEPS[dtype][0]

    def at(shift: float) -> list[tf.Tensor]:
        moved = [a + shift * directions[i] if i in directions else a for i, a in enumerate(args)]
        return _layer_gradients(layer, moved)

    found = _layer_gradients(layer, args, again=True, vectors=list(directions.values()))
    triples = zip(found, at(step), at(-step), strict=True)
    return all(
        is_close(f.numpy(), ((a - b) / (2 * step)).numpy(), float(tf.norm(a)), dtype) for f, a, b in triples
    )


def _layer_gradients(
    layer: Layer,
    args: list[Any],
    *,
    again: bool = False,
    vectors: list[tf.Tensor] | None = None,
) -> list[tf.Tensor]:
    """Return the gradients of a nonlinear function of a layer's output in its arguments; or theirs again."""
    free = [arg for arg in args if tf.is_tensor(arg) and arg.dtype.is_floating]
    with tf.GradientTape() as outer:
        outer.watch(free)
        with tf.GradientTape() as inner:
            inner.watch(free)
            outputs = [o for o in tf.nest.flatten(layer(*args)) if o.dtype.is_floating]
            value = tf.add_n([tf.reduce_sum(o**3) for o in outputs])
        first = gradient(inner, value, free)
    found: list[tf.Tensor] = gradient(outer, first, free, vectors) if again else first
    return found


def _noise(like: tf.Tensor, seed: int = 0) -> tf.Tensor:
    draws: NDArray[Any] = np.random.default_rng(seed).normal(size=like.shape)
    return tf.constant(draws, like.dtype)
