"""The models that go by a name, in PyTorch; `dataval.zoo` lists them.

Inputs are vectors, or images with channels first. ``lenet-relu`` is what papers use; the others have smooth
activations and average pooling, under which values predict retraining best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

from torch import nn

__all__ = ["build"]

_HIDDEN = 64


def build(
    name: str, input_shape: Sequence[int], n_outputs: int, initialisation: str = "framework"
) -> nn.Module:
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
        PyTorch's own, or normal weights of variance 2 / fan-in and biases of 0 (He et al., 2015).
    """
    model = _BUILDERS[name](tuple(input_shape), n_outputs)
    return _he(model) if initialisation == "he" else model


def _linear(shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), n_outputs))


def _mlp(shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(prod(shape), _HIDDEN),
        nn.GELU(),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.GELU(),
        nn.Linear(_HIDDEN, n_outputs),
    )


def _cnn(shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    """Two convolutions that keep the size, each halved by pooling, for images of any size from 4 x 4."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), n_outputs),
    )


def _lenet(
    shape: tuple[int, ...],
    n_outputs: int,
    activation: type[nn.Module] = nn.GELU,
    pool: type[nn.Module] = nn.AvgPool2d,
    *,
    is_normalised: bool = False,
) -> nn.Sequential:
    """LeNet-5 (LeCun et al., 1998); normalised, if at all, before each activation."""
    channels, height, width = shape
    n_pixels = ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)

    def normal(layer: Any, *sizes: int) -> list[nn.Module]:
        return [layer(*sizes)] if is_normalised else []

    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        *normal(nn.GroupNorm, 2, 6),
        activation(),
        pool(2),
        nn.Conv2d(6, 16, 5),
        *normal(nn.GroupNorm, 4, 16),
        activation(),
        pool(2),
        nn.Flatten(),
        nn.Linear(16 * n_pixels, 120),
        *normal(nn.LayerNorm, 120),
        activation(),
        nn.Linear(120, 84),
        *normal(nn.LayerNorm, 84),
        activation(),
        nn.Linear(84, n_outputs),
    )


def _lenet_relu(shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    return _lenet(shape, n_outputs, nn.ReLU, nn.MaxPool2d)


def _he(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model


_BUILDERS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "linear": _linear,
    "mlp": _mlp,
    "cnn": _cnn,
    "lenet": _lenet,
    "lenet-norm": partial(_lenet, is_normalised=True),
    "lenet-relu": _lenet_relu,
}
