"""Layers and activations at whose kinks a gradient jumps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras import layers

from dataval_tensorflow.model.modules import ModuleCaller

__all__ = ["kinked_layers"]

_LAYERS = (
    layers.ReLU,
    layers.LeakyReLU,
    layers.PReLU,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.MaxPooling3D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.GlobalMaxPooling3D,
)
_ACTIVATIONS = {"relu", "relu6", "leaky_relu", "hard_tanh", "hard_sigmoid", "hard_silu", "hard_shrink"}


def kinked_layers(caller: Any) -> tuple[str, ...]:
    """Return the kinds of layers and activations with kinks in a model, each once; none of a plain module."""
    if isinstance(caller, ModuleCaller):
        return ()
    return tuple(dict.fromkeys(_kinks(caller.model)))


def _kinks(model: Any) -> Iterator[str]:
    for layer in model._flatten_layers():
        if isinstance(layer, _LAYERS):
            yield type(layer).__name__
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        if activation in _ACTIVATIONS:
            yield activation
