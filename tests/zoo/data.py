"""Data for the models of the zoo, as NumPy arrays: inputs fit the torch layout (channels first)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

N_FEATURES, N_CLASSES, N_TOKENS, LENGTH = 6, 3, 11, 5


class Samples(NamedTuple):
    """Inputs and class labels."""

    X: NDArray
    y: NDArray


def features(n: int, seed: int = 0) -> Samples:
    """Vectors of N_FEATURES numbers."""
    rng = np.random.default_rng(seed)
    return Samples(rng.normal(size=(n, N_FEATURES)), rng.integers(0, N_CLASSES, n))


def images(n: int, seed: int = 0) -> Samples:
    """Images (1, 8, 8)."""
    rng = np.random.default_rng(seed)
    return Samples(rng.normal(size=(n, 1, 8, 8)), rng.integers(0, N_CLASSES, n))


def tokens(n: int, seed: int = 0) -> Samples:
    """Sequences of LENGTH integers below N_TOKENS."""
    rng = np.random.default_rng(seed)
    return Samples(rng.integers(0, N_TOKENS, (n, LENGTH)), rng.integers(0, N_CLASSES, n))


MAKERS = {
    "softmax_regression": features,
    "mlp": features,
    "layer_norm": features,
    "dropout": features,
    "cnn_max_pool": images,
    "cnn_batch_norm": images,
    "transformer": tokens,
    "lstm": tokens,
}
"""Which data each model of the zoo takes."""


def samples_for(model: str, n: int, seed: int = 0) -> Samples:
    """Return data for a model of the zoo by its name."""
    return MAKERS[model](n, seed)
