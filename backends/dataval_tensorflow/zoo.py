"""The models that go by a name, in Keras; `dataval.zoo` lists them.

Inputs are vectors, or images with channels first, which are turned round inside. ``lenet-relu`` is what papers
use; the others have smooth activations and average pooling, under which values predict retraining best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
from keras import layers

__all__ = ["build"]

_HIDDEN = 64
_EPSILON = 1e-5  # PyTorch's
_INITIALISATIONS = {"framework": "glorot_uniform", "he": "he_normal"}


def build(name: str, input_shape: Sequence[int], n_outputs: int, initialisation: str = "framework") -> Any:
    """Build a model.

    Parameters
    ----------
    name : str
        One of `dataval.zoo.MODELS`.
    input_shape : sequence of int
        Shape of one sample, channels first.
    n_outputs : int
        Number of outputs.
    initialisation : {"framework", "he"}
        Keras's own, or truncated normal weights of variance 2 / fan-in and biases of 0 (He et al., 2015).
    """
    start = _INITIALISATIONS[initialisation]
    hidden = _HIDDEN_LAYERS[name](start)
    last = layers.Dense(n_outputs, kernel_initializer=start)
    return keras.Sequential([keras.Input(tuple(input_shape)), *hidden, last])


def _linear(start: str) -> list[Any]:
    return [layers.Flatten()]


def _mlp(start: str) -> list[Any]:
    hidden = (layers.Dense(_HIDDEN, activation="gelu", kernel_initializer=start) for _ in range(2))
    return [layers.Flatten(), *hidden]


def _cnn(start: str) -> list[Any]:
    """Two convolutions that keep the size, each halved by pooling."""

    def convolution(n_channels: int) -> Any:
        return layers.Conv2D(n_channels, 3, padding="same", activation="gelu", kernel_initializer=start)

    return [
        layers.Permute((2, 3, 1)),
        convolution(16),
        layers.AveragePooling2D(2),
        convolution(32),
        layers.AveragePooling2D(2),
        layers.Flatten(),
    ]


def _lenet(
    start: str,
    activation: str = "gelu",
    pool: Any = layers.AveragePooling2D,
    *,
    is_normalised: bool = False,
) -> list[Any]:
    """LeNet-5 (LeCun et al., 1998); normalised, if at all, before each activation."""

    def convolution(n_channels: int, n_groups: int, padding: str = "valid") -> list[Any]:
        layer = layers.Conv2D(n_channels, 5, padding=padding, kernel_initializer=start)
        return active(layer, layers.GroupNormalization(n_groups, epsilon=_EPSILON) if is_normalised else None)

    def dense(n_units: int) -> list[Any]:
        layer = layers.Dense(n_units, kernel_initializer=start)
        return active(layer, layers.LayerNormalization(epsilon=_EPSILON) if is_normalised else None)

    def active(layer: Any, normal: Any) -> list[Any]:
        return [layer, *([] if normal is None else [normal]), layers.Activation(activation)]

    return [
        layers.Permute((2, 3, 1)),
        *convolution(6, 2, "same"),
        pool(2),
        *convolution(16, 4),
        pool(2),
        layers.Flatten(),
        *dense(120),
        *dense(84),
    ]


def _lenet_relu(start: str) -> list[Any]:
    return _lenet(start, "relu", layers.MaxPooling2D)


_HIDDEN_LAYERS: dict[str, Callable[[str], list[Any]]] = {
    "linear": _linear,
    "mlp": _mlp,
    "cnn": _cnn,
    "lenet": _lenet,
    "lenet-norm": partial(_lenet, is_normalised=True),
    "lenet-relu": _lenet_relu,
}
