"""Whether a model can be differentiated twice, and if not, which layer is to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval.data import Data
from dataval.errors import InvalidDataError, InvalidModelError, NotTwiceDifferentiableError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.fallback import UNSUPPORTED
from dataval_tensorflow.derivatives.gradients import gradient
from dataval_tensorflow.model.functional import FunctionalModel
from dataval_tensorflow.model.layers import differentiable_operations
from dataval_tensorflow.model.modules import ModuleCaller

if TYPE_CHECKING:
    from dataval_tensorflow.backend import TensorFlowBackend

__all__ = ["check_twice_differentiable", "named_layer_error"]

_ADVICE = "Replace it by one that can be differentiated twice, or use hessian=False"

# Second derivatives are compared with differences of gradients. In float64, steps this short cross the kink of
# a ReLU or a tie of a max-pooling almost never, where both sides would be right and yet differ; a derivative
# that is really missing shows at every step. Rounding (1e-16) divided by the step leaves 1e-7 of their size.
# A model that exists in float32 only needs longer steps, which cross some kinks.
_STEPS = {tf.float64: (1e-8, 4e-9, 2e-9), tf.float32: (3e-3, 1e-3, 3e-4)}
_TOLERANCE = {tf.float64: 1e-3, tf.float32: 0.2}
_ROUNDING = {tf.float64: 1e-5, tf.float32: 1e-2}


def check_twice_differentiable(backend: TensorFlowBackend, batch: Batch) -> None:
    """Raise `NotTwiceDifferentiableError`, naming the layer, if a model has no exact second derivative."""
    judge, samples = _in_double(backend, batch)
    if not all(_is_inexact(judge, samples, step) for step in _STEPS[judge.model.dtype]):
        return
    layer = _find_layer(judge.model, samples, _is_exact)
    raise NotTwiceDifferentiableError(
        f"the second derivative of {_describe(layer)} differs from the derivative of its gradients: "
        f"something is detached, or a gradient can't be differentiated. {_ADVICE}"
    )


@contextmanager
def named_layer_error(backend: TensorFlowBackend, batch: Batch) -> Iterator[None]:
    """Turn the error of a missing second derivative into one that names the layer."""
    try:
        yield
    except LookupError as error:
        layer = _find_layer(backend.model, batch, _has_second_derivative)
        raise NotTwiceDifferentiableError(
            f"{_describe(layer)} has no second derivative ({error}). {_ADVICE}"
        ) from error


def _in_double(backend: TensorFlowBackend, batch: Batch) -> tuple[TensorFlowBackend, Batch]:
    """Return the same backend and batch in float64, or as they are where the model can't be made anew in it."""
    if backend.model.dtype == tf.float64:
        return backend, batch
    arrays = batch.map(lambda leaf: leaf.numpy())
    example = Data(arrays.inputs, arrays.targets)
    _, loss, device, params, seed, _ = backend.given
    try:
        twin = backend.model.caller.doubled(backend.model.own)
        double = type(backend)(twin, loss, device=device, params=params, seed=seed, example=example)
        if double.model.dtype != tf.float64:
            return backend, batch
    except (InvalidModelError, InvalidDataError, *UNSUPPORTED):
        return backend, batch
    return double, double.batches(example).take(np.arange(len(batch)))


def _is_inexact(backend: TensorFlowBackend, batch: Batch, step: float) -> bool:
    """Whether the pullback contradicts differences of gradients, buffers and losses."""
    parameters, buffers = backend.initial()
    vector, buffer_vector = _noise(parameters), _noise(buffers)
    # Away from Keras's biases of 0, with which units sit on ReLU's kink wherever their inputs are 0.
    parameters = parameters + 0.01 * _noise(parameters, seed=1)
    weights = tf.ones((len(batch),), parameters.dtype)
    pullback = backend.gradient_vjp(parameters, buffers, batch, weights, 0).pullback
    product, slopes, _ = pullback(vector, buffer_vector)

    def at(shift: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return backend.gradient(parameters + shift * vector, buffers, batch, weights, 0)

    (losses_above, above, buffers_above), (losses_below, below, buffers_below) = at(step), at(-step)
    difference = tf.reduce_sum((above - below) * vector) + tf.reduce_sum(
        (buffers_above - buffers_below) * buffer_vector
    )
    size = tf.norm(above) * tf.norm(vector)
    return not (
        _close(slopes, (losses_above - losses_below) / (2 * step), tf.reduce_max(tf.abs(losses_above)))
        and _close(tf.reduce_sum(product * vector), difference / (2 * step), size)
        and _all_close(
            backend, pullback(vector, tf.zeros_like(buffers))[0], (above - below) / (2 * step), above
        )
    )


def _all_close(backend: TensorFlowBackend, found: tf.Tensor, expected: tf.Tensor, size: tf.Tensor) -> bool:
    """Compare the pieces of each parameter on its own scale."""
    split = backend.model.layout.split
    overall = tf.reduce_max(tf.abs(size)) + tf.reduce_max(tf.abs(expected))
    return all(_close(f, e, overall) for f, e in zip(split(found), split(expected), strict=True))


def _close(found: tf.Tensor, expected: tf.Tensor, size: tf.Tensor) -> bool:
    """Whether tensors agree as far as rounding of what was subtracted allows."""
    slack = _ROUNDING[found.dtype] * float(size)
    return float(tf.norm(found - expected)) <= slack + _TOLERANCE[found.dtype] * float(tf.norm(expected))


def _find_layer(
    model: FunctionalModel, batch: Batch, is_fine: Callable[[Any, list[Any], dict[str, Any]], bool]
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
            if any(layer is one for one in inner):
                with model.caller.scope(values):
                    if not is_fine(layer, list(args), keywords):
                        return f"{layer.name!r} ({type(layer).__name__})"
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


def _parts(layer: Any) -> list[Any]:
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _describe(layer: str | None) -> str:
    return f"the layer {layer}" if layer else "an operation in the model's forward pass or loss"


def _has_second_derivative(layer: Any, args: list[Any], keywords: dict[str, Any]) -> bool:
    try:
        _layer_gradients(layer, args, keywords, again=True)
    except LookupError:
        return False
    return True


def _is_exact(layer: Any, args: list[Any], keywords: dict[str, Any]) -> bool:
    """Whether a layer's second derivative in its floating-point arguments is what differences say."""
    floats = [i for i, arg in enumerate(args) if tf.is_tensor(arg) and arg.dtype.is_floating]
    if not floats:
        return True
    directions = {i: _noise(args[i]) for i in floats}
    step = _STEPS[args[floats[0]].dtype][0]

    def at(shift: float) -> list[tf.Tensor]:
        moved = [a + shift * directions[i] if i in directions else a for i, a in enumerate(args)]
        return _layer_gradients(layer, moved, keywords)

    found = _layer_gradients(layer, args, keywords, again=True, vectors=list(directions.values()))
    pairs = zip(found, at(step), at(-step), strict=True)
    return all(_close(f, (a - b) / (2 * step), tf.norm(a)) for f, a, b in pairs)


def _layer_gradients(
    layer: Any,
    args: list[Any],
    keywords: dict[str, Any],
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
            outputs = [o for o in tf.nest.flatten(layer(*args, **keywords)) if o.dtype.is_floating]
            value = tf.add_n([tf.reduce_sum(o**3) for o in outputs])
        first = gradient(inner, value, free)
    found: list[tf.Tensor] = gradient(outer, first, free, vectors) if again else first
    return found


def _noise(like: tf.Tensor, seed: int = 0) -> tf.Tensor:
    draws: NDArray[Any] = np.random.default_rng(seed).normal(size=like.shape)
    return tf.constant(draws, like.dtype)
