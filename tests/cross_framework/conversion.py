"""The same model in PyTorch and in TensorFlow, with the same weights in each one's layout."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np
import torch
from keras import layers
from numpy.typing import NDArray
from torch import nn

from tests.backends.support import Case, make_case
from tests.zoo import tensorflow_models, torch_models
from tests.zoo.data import Samples, samples_for

MODELS = ["lenet", "mlp", "layer_norm", "cnn_batch_norm", "cnn_max_pool"]
_LAYERS = (nn.Linear, nn.Conv2d, nn.LayerNorm, nn.BatchNorm2d)


class Twins(NamedTuple):
    """Two models with the same weights, and where each entry of TensorFlow's flat vector is in torch's."""

    torch: nn.Sequential
    tensorflow: keras.Model
    order: NDArray[np.int64]


@cache
def twins(name: str) -> Twins:
    """Return a model of the zoo, or LeNet, in both frameworks in float64; tests share them."""
    one = torch_lenet() if name == "lenet" else getattr(torch_models, name)()
    one = one if isinstance(one, nn.Sequential) else nn.Sequential(one)
    other = keras_lenet() if name == "lenet" else getattr(tensorflow_models, name)()
    sizes = np.cumsum([0, *(p.numel() for p in one.parameters())])
    places = [
        np.arange(start, stop).reshape(tuple(p.shape))
        for start, stop, p in zip(sizes[:-1], sizes[1:], one.parameters(), strict=True)
    ]
    moved = _converted(one, places)
    flat = torch.nn.utils.parameters_to_vector(one.parameters()).detach().numpy()
    for variable, place in zip(other.trainable_variables, moved, strict=True):
        variable.assign(flat[place])
    return Twins(one, other, np.concatenate([place.ravel() for place in moved]))


def samples(name: str, n: int, seed: int = 0) -> Samples:
    """Return data for one of the models."""
    if name != "lenet":
        return samples_for(name, n, seed)
    rng = np.random.default_rng(seed)
    return Samples(rng.normal(size=(n, 1, 28, 28)), rng.integers(0, 10, n))


def cases(name: str, n: int) -> tuple[Case, Case, NDArray[np.int64]]:
    """Return a backend of each framework with the same batch, and the order of the parameters."""
    pair, (X, y) = twins(name), samples(name, n)
    return make_case(pair.torch, X, y), make_case(pair.tensorflow, X, y), pair.order


def _converted(model: nn.Sequential, places: list[NDArray]) -> list[NDArray]:
    """Bring torch's weights, layer by layer, into the layout of TensorFlow."""
    remaining, converted = iter(places), []
    channels = flattened = None
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
        elif isinstance(layer, nn.Flatten):
            flattened = channels
        if not isinstance(layer, _LAYERS):
            continue
        for parameter in layer.parameters():
            place = next(remaining)
            if isinstance(layer, nn.Conv2d) and parameter.ndim == 4:
                place = place.transpose(2, 3, 1, 0)
            elif isinstance(layer, nn.Linear) and parameter.ndim == 2:
                if flattened:  # channels come last in TensorFlow
                    side = round((place.shape[1] / flattened) ** 0.5)
                    place = (
                        place.reshape(-1, flattened, side, side).transpose(0, 2, 3, 1).reshape(len(place), -1)
                    )
                    flattened = None
                place = place.T
            converted.append(place)
    return converted


def torch_lenet() -> nn.Sequential:
    """LeNet-5 with ReLU and max-pooling."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, 10),
        ).double()


def keras_lenet() -> keras.Model:
    """The same in Keras, for images with the channels first."""
    make: dict[str, Any] = {"dtype": "float64"}
    activate: Callable[[], Any] = lambda: layers.ReLU(**make)  # noqa: E731
    return keras.Sequential(
        [
            keras.Input((1, 28, 28), dtype="float64"),
            layers.Permute((2, 3, 1), **make),
            layers.Conv2D(6, 5, padding="same", **make),
            activate(),
            layers.MaxPooling2D(2, **make),
            layers.Conv2D(16, 5, **make),
            activate(),
            layers.MaxPooling2D(2, **make),
            layers.Flatten(**make),
            layers.Dense(120, **make),
            activate(),
            layers.Dense(84, **make),
            activate(),
            layers.Dense(10, **make),
        ]
    )
