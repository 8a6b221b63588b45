"""A model with a root at 0, and losses with a pole, on each framework: infinite for one sample alone."""

from __future__ import annotations

from typing import Any

import numpy as np

import dataval as dv

N = 12
BAD = 5
WITHOUT = np.where(np.arange(N) == BAD, 0.0, 1.0)
SETTINGS = {"optimizer": dv.SGD(learning_rate=0.05), "epochs": 2, "batch_size": 4, "seed": 0}


def rooted(framework: str, power: float = 0.5, dtype: str = "float32") -> Any:
    """Return a model of ``((W x)**2)**power``: at x = 0 its value is finite, its derivative at 0.5 is 0/0.

    Power 1.5 stands for ``|W x|**1.5``, whose derivative at 0 is 0 and whose second one is 0/0.
    """
    if framework == "torch":
        return _torch(power, dtype)
    return _keras(power, dtype)


def _torch(power: float, dtype: str) -> Any:
    import torch
    from torch import nn

    class Root(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.abs(x) ** power if power == 1.5 else (x**2) ** power

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4, bias=False), Root(), nn.Linear(4, 2))
    return net.to(getattr(torch, dtype))


def _keras(power: float, dtype: str) -> Any:
    import keras
    import tensorflow as tf

    class Root(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.pow(tf.abs(x), power) if power == 1.5 else tf.pow(tf.square(x), power)

    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(4, use_bias=False, dtype=dtype),
        Root(dtype=dtype),
        keras.layers.Dense(2, dtype=dtype),
    ]
    return keras.Sequential([keras.Input((3,), dtype=dtype), *layers])


def samples(n: int = N, bad: int | None = BAD, seed: int = 0, dtype: str = "float32") -> tuple[Any, Any]:
    """Return samples of two classes; the bad one is all zeros."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 3)).astype(dtype), rng.integers(0, 2, n)
    if bad is not None:
        X[bad] = 0
    return X, y


def learner(framework: str, power: float = 0.5, loss: Any = "cross_entropy", **options: Any) -> dv.Learner:
    """Return a learner of the rooted model."""
    return dv.Learner(
        rooted(framework, power), loss=loss, training=dv.Training(**SETTINGS | options), progress=False
    )


def pole(outputs: Any, targets: Any) -> Any:
    """Return losses that are infinite where the target is 7, and written for either framework."""
    return (outputs[:, 0] - 1) ** 2 / (7 - targets)
