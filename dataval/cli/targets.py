"""Labels as targets: classes, or numbers to predict, by what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataval.cli.choices import TaskName
from dataval.cli.errors import UsageError
from dataval.cli.formats import read_numbers

__all__ = ["Targets", "make_targets"]

_FEW, _MANY, _MOST_CLASSES = 10, 20, 100
_ROWS_A_CLASS = 20


@dataclass(frozen=True, eq=False)
class Targets:
    """What a model is trained on.

    Attributes
    ----------
    y : ndarray of int64, shape (n,), or of float32, shape (n, 1)
        Index of each label among `classes`; or numbers with mean 0 and standard deviation 1.
    classes : tuple of str
        Empty for numbers.
    center, scale : float
        Mean and standard deviation of numbers.
    """

    y: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    classes: tuple[str, ...]
    center: float = 0.0
    scale: float = 1.0

    def numbers(self) -> npt.NDArray[np.float64]:
        """Return the numbers to predict, in the file's unit."""
        return np.asarray(self.y[:, 0], dtype=np.float64) * self.scale + self.center


def make_targets(labels: list[str], name: str, task: TaskName | None) -> tuple[Targets, list[str]]:
    """Return labels as targets, with notes.

    Without a task, labels are numbers to predict if all are plain numbers and more than 10 of them different
    where some are not whole, and otherwise more than 20 with fewer than 20 rows each, more than half of the
    rows, or more than 100. All else are classes.

    Parameters
    ----------
    labels : list of str, length n
        As they are in the file.
    name : str
        What messages call them.
    task : {"classification", "regression"} or None
        What they are, where the user said so.

    Raises
    ------
    UsageError
        If all are the same, there are too many classes, or numbers are asked for and there are none.
    """
    numbers = _as_numbers(labels)
    are_numbers = not np.isnan(numbers).any()
    if task == "regression" and not are_numbers:
        odd = labels[int(np.isnan(numbers).argmax())]
        raise UsageError(f"the labels {name!r} are no plain numbers, such as {odd!r}: leave --task out")
    if len(set(labels)) < 2:
        raise UsageError(f"all labels {name!r} are {labels[0]!r}: two classes or more are needed")
    is_regression = task == "regression" or (task is None and are_numbers and _are_amounts(numbers))
    if is_regression:
        notes = [] if task else [f"the labels {name!r} are taken as numbers to predict (--task otherwise)"]
        return _numbers(numbers, name), notes
    return _classes(labels, name), _doubt(labels, name) if are_numbers and task is None else []


def _as_numbers(labels: list[str]) -> npt.NDArray[np.float64]:
    """Return labels as numbers, NaN for what is none."""
    different = list(dict.fromkeys(labels))
    found = dict(zip(different, read_numbers(different)[0].tolist(), strict=True))
    return np.array([found[label] for label in labels])


def _are_amounts(numbers: npt.NDArray[np.float64]) -> bool:
    different, n = len(np.unique(numbers)), len(numbers)
    if (numbers != np.round(numbers)).any():
        return different > _FEW
    crowded = different > _MANY and different * _ROWS_A_CLASS > n
    return crowded or different > max(_FEW, n // 2) or different > _MOST_CLASSES


def _doubt(labels: list[str], name: str) -> list[str]:
    n_classes = len(set(labels))
    if n_classes <= _MANY:
        return []
    return [f"the labels {name!r} are taken as {n_classes} classes (--task regression for amounts)"]


def _numbers(numbers: npt.NDArray[np.float64], name: str) -> Targets:
    with np.errstate(over="ignore", invalid="ignore"):
        center, scale = float(numbers.mean()), float(numbers.std())
    if not np.isfinite([center, scale]).all():
        raise UsageError(f"the labels {name!r} are too large: scale them")
    if scale == 0.0:
        raise UsageError(f"the labels {name!r} are all the same number: there is nothing to predict")
    return Targets(((numbers - center) / scale).astype(np.float32)[:, None], (), center, scale)


def _classes(labels: list[str], name: str) -> Targets:
    classes = sorted(set(labels))
    if len(classes) > max(2, len(labels) // 2):
        raise UsageError(
            f"the labels {name!r} take {len(classes)} different values in {len(labels)} rows: classes are "
            "needed, or plain numbers to predict"
        )
    position = {each: i for i, each in enumerate(classes)}
    return Targets(np.array([position[label] for label in labels], dtype=np.int64), tuple(classes))
