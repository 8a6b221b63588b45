"""The inputs of samples, or features of them, as rows of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.data import Data, Samples, leaves
from dataval.errors import InvalidDataError
from dataval.methods.similarity import parts_of

__all__ = ["check_features", "input_rows"]

FloatArray = NDArray[np.float64]
Features = Callable[[Any], Any]


def check_features(features: Features | None) -> None:
    """Raise `TypeError` if features are given and can't be called."""
    if features is not None and not callable(features):
        raise TypeError(f"features must be a function of the inputs, got {described(features)}")


def input_rows(data: Samples, features: Features | None = None) -> FloatArray:
    """Return all numbers of the inputs, or the features that a function makes of them, shape ``(N, d)``.

    Parameters
    ----------
    data : Samples
        Their targets play no part.
    features : callable, optional
        Of the inputs of some samples at a time, as NumPy arrays; returns ``(n, ...)``.

    Raises
    ------
    InvalidDataError
        If the inputs or features are no numbers, or not finite, or not one row a sample.
    """
    return np.concatenate([_rows(part, features) for part in parts_of(data)])


def _rows(data: Data, features: Features | None) -> FloatArray:
    n = len(data)
    if features is None:
        arrays = [array for _, array in leaves(data.inputs, "X")]
    else:
        arrays = [np.asarray(features(data.inputs))]
        if arrays[0].shape[:1] != (n,):
            raise InvalidDataError(f"features returned shape {arrays[0].shape} for {n} samples of X")
    if any(array.dtype.kind not in "biuf" for array in arrays):
        raise InvalidDataError("the inputs X are no numbers: give features, a function that makes them such")
    found = np.concatenate([array.reshape(n, -1).astype(np.float64) for array in arrays], axis=1)
    if not np.isfinite(found).all():
        raise InvalidDataError("features returned numbers that are not finite")
    return found
