"""Data frames and their columns as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.errors import InvalidDataError

__all__ = ["is_frame", "is_table", "table_array"]


def is_table(given: Any) -> bool:
    """Whether this is a data frame of pandas, or one column of it."""
    return hasattr(given, "iloc") and hasattr(given, "to_numpy")


def is_frame(given: Any) -> bool:
    """Whether this is a data frame of pandas."""
    return is_table(given) and hasattr(given, "columns")


def table_array(table: Any, name: str, what: str) -> NDArray[Any]:
    """Return a data frame as floats ``(n, columns)``, a column as an array of its own dtype ``(n,)``.

    A frame is float32 where all of its columns are, float64 otherwise; of a categorical column the codes are
    taken, in the order of its categories.

    Raises
    ------
    InvalidDataError
        If a column holds something else than numbers, bools or categories, or a cell is missing; the column is
        named.
    """
    if not is_frame(table):
        return _column(table, table.name, name, what)
    if not len(table.columns):
        raise InvalidDataError(f"the {what} {name} is a data frame without columns")
    columns = [_column(table.iloc[:, i], label, name, what) for i, label in enumerate(table.columns)]
    dtype = np.float32 if all(column.dtype == np.float32 for column in columns) else np.float64
    return np.stack([column.astype(dtype) for column in columns], axis=1)


def _column(column: Any, label: Any, name: str, what: str) -> NDArray[Any]:
    """Return the numbers of one column."""
    where = f"the {what} {name}" if label is None else f"the column {label!r} of the {what} {name}"
    if column.isna().any():
        row = int(np.argmax(column.isna().to_numpy()))
        raise InvalidDataError(
            f"{where} contains a missing value or NaN, first at sample {row}: impute or drop it"
        )
    if hasattr(column, "cat"):
        return np.asarray(column.cat.codes.to_numpy(), dtype=np.int64)
    kind = getattr(column.dtype, "kind", "O")
    if kind not in "fiub":
        raise InvalidDataError(
            f"{where} has dtype {column.dtype}: convert it to numbers, or to categories "
            "(column.astype('category'), whose codes are taken; pandas.get_dummies for one column a category)"
        )
    dtype = column.dtype if isinstance(column.dtype, np.dtype) else column.dtype.numpy_dtype
    return np.asarray(column.to_numpy(dtype=dtype))
