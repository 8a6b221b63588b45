"""Labels of any kind, and numbers, as what can be computed with; and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data import to_numpy
from dataval.data.tables import is_table
from dataval.errors import InvalidDataError

__all__ = ["Targets", "read_targets"]

_MOST_CLASSES = 0.5  # of the samples; whole numbers that differ more often are no classes
_MANY = 20


@dataclass(frozen=True)
class Targets:
    """What samples are labelled.

    Attributes
    ----------
    task : {"classification", "regression", "multilabel"}
    values : ndarray, shape (N,) or (N, L)
        Numbers of classes from 0, int64; 0 and 1; or float64.
    classes : ndarray, shape (C,), or None
        What the numbers of classes stand for.
    is_native : bool
        Whether the labels as they were given are such as a learner takes.
    """

    task: str
    values: NDArray[Any]
    classes: NDArray[Any] | None
    is_native: bool

    def as_given(self, suggested: NDArray[Any]) -> NDArray[Any]:
        """Return suggestions in the form that labels were given in."""
        return suggested if self.classes is None or self.task == "multilabel" else self.classes[suggested]


def read_targets(y: Any, task: str | None) -> Targets:
    """Read labels, and find out what they are where that isn't said.

    Raises
    ------
    InvalidDataError
        If one is missing, all are the same, or they don't fit the task.
    """
    array = _as_array(y)
    chosen = task or _guessed(array)
    if chosen == "multilabel":
        return _several(array)
    if array.ndim != 1:
        raise InvalidDataError(
            f"a {chosen} needs one target a sample, y has shape {array.shape}; several labels that are there "
            "(1) or not (0) are task='multilabel'"
        )
    return _numbers(array) if chosen == "regression" else _classes(array)


def _as_array(y: Any) -> NDArray[Any]:
    array = y.to_numpy() if is_table(y) else np.asarray(to_numpy(y))
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise InvalidDataError(f"labels must have shape (N,) or (N, L), y has shape {array.shape}")
    missing = _missing(array)
    if missing.any():
        row = int(np.argwhere(missing)[0, 0])
        raise InvalidDataError(
            f"the label y of sample {row} is missing or not finite: give it, or drop the sample"
        )
    return array


def _missing(array: NDArray[Any]) -> NDArray[np.bool_]:
    if array.dtype.kind in "biuUS":
        return np.zeros(array.shape, dtype=bool)
    if array.dtype.kind == "f":
        return np.asarray(~np.isfinite(array), dtype=np.bool_)
    if array.dtype.kind in "Mm":
        return np.asarray(np.isnat(array), dtype=np.bool_)
    absent = [each is None or repr(each) == "<NA>" or each != each for each in array.reshape(-1).tolist()]
    return np.asarray(absent, dtype=np.bool_).reshape(array.shape)


def _guessed(array: NDArray[Any]) -> str:
    if array.ndim == 2:
        return "multilabel"
    if array.dtype.kind in "f" and not (array == np.round(array)).all():
        return "regression"
    if array.dtype.kind in "iuf":
        n_levels = len(np.unique(array))
        return "regression" if n_levels > max(_MANY, _MOST_CLASSES * len(array)) else "classification"
    return "classification"


def _several(array: NDArray[Any]) -> Targets:
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise InvalidDataError(
            f"several labels a sample are columns of 0 and 1, y is {array.dtype} of shape {array.shape}"
        )
    return Targets("multilabel", array.astype(np.int64), None, True)


def _numbers(array: NDArray[Any]) -> Targets:
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(f"a regression needs numbers, y is an array of {array.dtype}")
    values = array.astype(np.float64)
    if values.min() == values.max():
        raise InvalidDataError(f"all targets y are {values[0]:g}: nothing can be wrong about them")
    return Targets("regression", values, None, True)


def _classes(array: NDArray[Any]) -> Targets:
    try:
        classes, values = np.unique(array, return_inverse=True)
    except TypeError:  # words among numbers
        classes, values = np.unique(array.astype(str), return_inverse=True)
    if len(classes) < 2:
        raise InvalidDataError(f"all labels y are {classes[0]!r}: at least two classes are needed")
    if len(classes) > _MOST_CLASSES * len(array):
        raise InvalidDataError(
            f"y holds {len(classes)} different labels for {len(array)} samples: for numbers choose "
            "task='regression'"
        )
    is_native = array.dtype.kind in "iub"
    return Targets("classification", values.astype(np.int64), classes, is_native)
