"""Samples as vectors that can be compared: their inputs, or features that a function makes of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.data import Data, Samples, leaves
from dataval.errors import InvalidDataError
from dataval.methods.similarity import parts_of

__all__ = ["FeatureFunction", "check_features", "features_of", "unit_rows"]

FloatArray = NDArray[np.float64]
FeatureFunction = Callable[[Any], Any]


def check_features(function: FeatureFunction | None) -> None:
    """Raise `TypeError` if features are given and can't be called."""
    if function is not None and not callable(function):
        raise TypeError(f"features must be a function of the inputs, got {described(function)}")


def features_of(data: Samples, function: FeatureFunction | None = None) -> FloatArray:
    """Return all numbers of the inputs, or of what a function makes of them, ``(n, d)``.

    Parameters
    ----------
    data : Samples
        Whose inputs.
    function : callable, optional
        NumPy inputs of some samples -> an array ``(n, ...)``.

    Raises
    ------
    InvalidDataError
        If these are no finite numbers, or not one row a sample.
    """
    return np.concatenate([_features(part, function) for part in parts_of(data)])


def unit_rows(rows: FloatArray) -> FloatArray:
    """Return rows of length 1; rows of zeros stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms == 0, 1.0, norms))


def _features(data: Data, function: FeatureFunction | None) -> FloatArray:
    n = len(data)
    if function is None:
        arrays = [array for _, array in leaves(data.inputs, "X")]
    else:
        arrays = [np.asarray(function(data.inputs))]
        if arrays[0].shape[:1] != (n,):
            raise InvalidDataError(f"features returned shape {arrays[0].shape} for {n} samples of X")
    if any(array.dtype.kind not in "biuf" for array in arrays):
        raise InvalidDataError("the inputs X are no numbers: give features, a function that makes them such")
    found = np.concatenate([array.reshape(n, -1).astype(np.float64) for array in arrays], axis=1)
    if not np.isfinite(found).all():
        raise InvalidDataError("features returned numbers that are not finite")
    return found
