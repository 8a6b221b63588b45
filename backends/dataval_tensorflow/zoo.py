"""The models that go by a name, in Keras; `dataval.zoo` lists them.

Inputs are vectors, or images with channels first, which are turned round inside. ``lenet-relu`` is what papers
use; the others have smooth activations and average pooling, under which values predict retraining best.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

__all__ = ["build"]

_HIDDEN = 64


def build(name: str, input_shape: Sequence[int], n_outputs: int) -> Any:
    """Build a model.

    Parameters
    ----------
    name : str
        One of `dataval.zoo.MODELS`.
    input_shape : sequence of int
        Shape of one sample, channels first.
    n_outputs : int
        Number of outputs.
    """
    hidden = _HIDDEN_LAYERS[name]()
    return keras.Sequential([keras.Input(tuple(input_shape)), *hidden, layers.Dense(n_outputs)])


def _linear() -> list[Any]:
    return [layers.Flatten()]


def _mlp() -> list[Any]:
    return [layers.Flatten(), *(layers.Dense(_HIDDEN, activation="gelu") for _ in range(2))]


def _cnn() -> list[Any]:
    """Two convolutions that keep the size, each halved by pooling."""
    return [
        layers.Permute((2, 3, 1)),
        layers.Conv2D(16, 3, padding="same", activation="gelu"),
        layers.AveragePooling2D(2),
        layers.Conv2D(32, 3, padding="same", activation="gelu"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
    ]


def _lenet(activation: str = "gelu", pool: Any = layers.AveragePooling2D) -> list[Any]:
    """LeNet-5 (LeCun et al., 1998)."""
    return [
        layers.Permute((2, 3, 1)),
        layers.Conv2D(6, 5, padding="same", activation=activation),
        pool(2),
        layers.Conv2D(16, 5, activation=activation),
        pool(2),
        layers.Flatten(),
        layers.Dense(120, activation=activation),
        layers.Dense(84, activation=activation),
    ]


def _lenet_relu() -> list[Any]:
    return _lenet("relu", layers.MaxPooling2D)


_HIDDEN_LAYERS = {"linear": _linear, "mlp": _mlp, "cnn": _cnn, "lenet": _lenet, "lenet-relu": _lenet_relu}
