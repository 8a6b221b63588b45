"""What several metrics need: checked values, correlations, means with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

__all__ = [
    "Interval",
    "check_values",
    "correlation",
    "mean_interval",
    "partial_rank_correlation",
    "rank_correlation",
    "ranks",
]

FloatArray = npt.NDArray[np.float64]


class Interval(BaseModel):
    """A mean over seeds with a Student-t confidence interval; no interval for a single seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def mean_interval(numbers: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """Return a mean with Student's confidence interval, one number a seed."""
    from scipy.stats import t as student

    found = np.asarray(numbers, dtype=np.float64)
    mean = float(found.mean())
    if len(found) < 2:
        return Interval(mean=mean, low=None, high=None)
    half = float(student.ppf(0.5 + confidence / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def check_values(values: npt.ArrayLike, name: str = "values", *, partial: bool = False) -> FloatArray:
    """Return values as a finite float64 array of shape (n,), n > 0.

    Parameters
    ----------
    values : array-like of numbers
        One a sample.
    name : str, default "values"
        What messages call them.
    partial : bool, default False
        Whether NaN may stand for samples without a value; one sample at least must have one.

    Raises
    ------
    ValueError
        If they are not real numbers, not one-dimensional, empty, or not finite.
    """
    given = as_array(values, name)
    if given.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be real numbers, not of dtype {given.dtype}.")
    if given.ndim != 1:
        raise ValueError(
            f"{name} must have shape (n_train,), got {given.shape}; average a matrix of "
            "attributions over its validation samples first: matrix.mean(axis=0)."
        )
    if not len(given):
        raise ValueError(f"{name} is empty; give one value for every training sample.")
    there = given[~np.isnan(given)] if partial and given.dtype.kind == "f" else given
    if not len(there):
        raise ValueError(f"{name} is NaN for all {len(given)} samples: there is nothing to judge.")
    _refuse_not_finite(there, name)
    return given.astype(np.float64)


def as_array(values: npt.ArrayLike, name: str = "values") -> npt.NDArray[Any]:
    """Return an array, or name what can't be read as one."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} can't be read as an array of numbers: {error}") from error


def _refuse_not_finite(values: npt.NDArray[np.generic], name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"{name} holds {len(bad)} entries that are NaN or infinite (the first at index "
            f"{bad[0]}); they cannot be ranked: remove these samples, or find out why the "
            "method failed on them."
        )


def correlation(left: FloatArray, right: FloatArray) -> float:
    """Pearson's correlation; NaN where one side is constant."""
    if left.min() == left.max() or right.min() == right.max():
        return float("nan")
    left, right = _centred(left), _centred(right)
    return float(np.clip(left @ right / np.sqrt((left @ left) * (right @ right)), -1.0, 1.0))


def rank_correlation(left: FloatArray, right: FloatArray) -> float:
    """Spearman's correlation, ties at their mean rank; NaN where one side is constant."""
    return correlation(ranks(left), ranks(right))


def partial_rank_correlation(left: FloatArray, right: FloatArray, given: FloatArray) -> float:
    r"""Spearman's correlation of two variables with a third one held fixed.

    .. math:: \rho_{xy\cdot z} = \frac{\rho_{xy} - \rho_{xz}\rho_{yz}}
              {\sqrt{(1 - \rho_{xz}^2)(1 - \rho_{yz}^2)}}

    which is Pearson's correlation of what a linear regression of the ranks on those of z leaves over. A
    constant z holds nothing fixed; NaN where x or y is constant, or z alone decides the order of one of them.
    """
    plain = rank_correlation(left, right)
    if given.min() == given.max():
        return plain
    of_left, of_right = rank_correlation(left, given), rank_correlation(right, given)
    left_over = (1 - of_left**2) * (1 - of_right**2)
    if not left_over > 1e-12:  # rounding of two squares near 1
        return float("nan")
    return float(np.clip((plain - of_left * of_right) / np.sqrt(left_over), -1.0, 1.0))


def _centred(values: FloatArray) -> FloatArray:
    """Return values minus their mean, scaled so that squares neither overflow nor vanish."""
    centred = values / np.abs(values).max()
    centred = centred - centred.mean()
    return np.asarray(centred / np.abs(centred).max(), dtype=np.float64)


def ranks(values: FloatArray) -> FloatArray:
    """Return ranks from 1 along the last axis, ties at their mean rank."""
    from scipy.stats import rankdata  # half of the time that importing dataval would take

    return np.asarray(rankdata(values, axis=-1), dtype=np.float64)
