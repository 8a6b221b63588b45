"""Tables of any columns as numbers that a kernel, a linear model and trees can share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data import leaves, to_numpy
from dataval.data.tables import is_frame, is_table
from dataval.errors import InvalidDataError

__all__ = ["as_rows"]

FloatArray = NDArray[np.float64]

_MOST_LEVELS = 30  # of a column of words that get a column each; rarer ones share one


def as_rows(X: Any) -> FloatArray:
    """Return inputs as numbers ``(N, d)``, every sample's in one row.

    Of a data frame, numbers stay numbers, with the median where one is missing and a column that says so; dates
    are seconds; words and categories get a column for each of the 30 most frequent levels. What is an array is
    flattened, and must be numbers; a missing one is filled in likewise.

    Parameters
    ----------
    X : data frame, array, sparse matrix, list of rows, or nested tuples or dicts of arrays
        Samples along the first axis.

    Raises
    ------
    InvalidDataError
        If nothing is left that tells samples apart, or X is no table of numbers.
    """
    if is_frame(X):
        columns = [part for i in range(X.shape[1]) for part in _of_column(X.iloc[:, i])]
    elif is_table(X):
        columns = list(_of_column(X))
    else:
        columns = [part for array in _arrays(X) for part in _filled(array)]
    if not columns or not len(columns[0]):
        raise InvalidDataError("the training X holds no columns and samples that could be looked at")
    return np.concatenate(columns, axis=1)


def _arrays(X: Any) -> Iterable[FloatArray]:
    if hasattr(X, "toarray"):
        X = X.toarray()
    if isinstance(X, list):
        X = np.asarray(X)
    for name, leaf in leaves(X, "X"):
        array = np.asarray(to_numpy(leaf))
        if array.dtype.kind not in "biuf" or array.ndim < 1:
            raise InvalidDataError(
                f"the training {name} is an array of {array.dtype}: give numbers, or a data frame, whose words "
                "and categories are encoded"
            )
        yield array.reshape(len(array), -1).astype(np.float64)


def _filled(array: FloatArray) -> Iterable[FloatArray]:
    """Yield where numbers are missing, a column for each that has gaps, and the numbers, medians filled in."""
    gaps = ~np.isfinite(array)
    if gaps.any():
        array = np.where(gaps, np.nan, array)
        known = np.where(gaps.all(axis=0), 0.0, array)
        array = np.where(gaps, np.nanmedian(known, axis=0), array)
        yield gaps[:, gaps.any(axis=0) & ~gaps.all(axis=0)].astype(np.float64)
    yield array


def _of_column(column: Any) -> Iterable[FloatArray]:
    kind = getattr(column.dtype, "kind", "O")
    if hasattr(column, "cat") or kind not in "biufmM":
        yield _levels(column)
    elif kind in "mM":
        missing = column.isna().to_numpy()
        seconds = column.astype("int64").to_numpy().astype(np.float64)[:, None]
        yield from _filled(np.where(missing[:, None], np.nan, seconds))
    else:
        yield from _filled(column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None])


def _levels(column: Any) -> FloatArray:
    """Return one column of 0 and 1 a level, the most frequent first; what is missing is a level."""
    words = np.where(column.isna().to_numpy(), "", column.astype(str).to_numpy(dtype=object)).astype(str)
    levels, codes, counts = np.unique(words, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    place = np.empty(len(levels), dtype=np.int64)
    place[order] = np.minimum(np.arange(len(levels)), _MOST_LEVELS)
    return np.asarray(np.eye(min(len(levels), _MOST_LEVELS + 1))[place[codes]])
