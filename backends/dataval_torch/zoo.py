"""The models that go by a name, in PyTorch; `dataval.zoo` lists them.

Inputs are vectors, or images with channels first. ``lenet-relu`` is what papers use; the others have smooth
activations and average pooling, under which values predict retraining best.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import nn

__all__ = ["build"]

_HIDDEN = 64


def build(name: str, input_shape: Sequence[int], n_outputs: int) -> nn.Module:
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
    return _BUILDERS[name](tuple(input_shape), n_outputs)


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
) -> nn.Module:
    """LeNet-5 (LeCun et al., 1998)."""
    channels, height, width = shape
    n_pixels = ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        activation(),
        pool(2),
        nn.Conv2d(6, 16, 5),
        activation(),
        pool(2),
        nn.Flatten(),
        nn.Linear(16 * n_pixels, 120),
        activation(),
        nn.Linear(120, 84),
        activation(),
        nn.Linear(84, n_outputs),
    )


def _lenet_relu(shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    return _lenet(shape, n_outputs, nn.ReLU, nn.MaxPool2d)


_BUILDERS = {"linear": _linear, "mlp": _mlp, "cnn": _cnn, "lenet": _lenet, "lenet-relu": _lenet_relu}
