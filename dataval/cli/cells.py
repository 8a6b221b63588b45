"""A column of text as its different cells, and which row has which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.table import is_missing, pandas

__all__ = ["Cells", "cells_of", "make_cells"]

_WORD = re.compile(r"[^\W\d_]{2,}")
_SAMPLE = 1000


@dataclass(frozen=True, eq=False)
class Cells:
    """A column's cells.

    Attributes
    ----------
    codes : ndarray of int64, shape (n,)
        Which of `levels` each row has.
    levels : list of str
        The different cells, stripped.
    """

    codes: npt.NDArray[np.int64]
    levels: list[str]

    @cached_property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which levels stand for nothing."""
        return np.array([is_missing(level) for level in self.levels], dtype=np.bool_)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows have each level."""
        return np.bincount(self.codes, minlength=len(self.levels))

    @cached_property
    def filled(self) -> list[str]:
        """The levels that stand for something."""
        return [level for level, is_one in zip(self.levels, self.missing.tolist(), strict=True) if not is_one]

    def spread_filled(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return numbers of the filled levels as numbers of the rows, NaN where a cell is missing."""
        of_levels = np.full(len(self.levels), np.nan)
        of_levels[~self.missing] = values
        return of_levels[self.codes]

    def texts(self) -> list[str]:
        """Return every row's cell."""
        return [self.levels[code] for code in self.codes.tolist()]

    def median_words(self) -> float:
        """Return how many words a filled level has, by the first thousand of them."""
        return float(np.median([len(_WORD.findall(level)) for level in self.filled[:_SAMPLE]]))


def make_cells(column: Any) -> Cells:
    """Return a column of anything as its cells, what is missing as empty text."""
    pd = pandas("a table")
    if hasattr(column, "cat"):
        column = column.astype(object)
    if column.isna().any():
        column = column.astype(object).where(column.notna(), "")
    if column.dtype == object:
        column = pd.Series([str(cell) for cell in column], dtype=str)
    elif getattr(column.dtype, "kind", "O") != "O":
        column = column.astype(str)
    codes, found = pd.factorize(column)
    return _stripped(codes, [str(level).strip() for level in found])


def cells_of(texts: Sequence[str]) -> Cells:
    """Return texts as cells."""
    place: dict[str, int] = {}
    codes = [place.setdefault(text.strip(), len(place)) for text in texts]
    return Cells(np.array(codes, dtype=np.int64), list(place))


def _stripped(codes: npt.NDArray[Any], levels: list[str]) -> Cells:
    """Return cells whose levels may have become equal."""
    merged = cells_of(levels)
    return Cells(merged.codes[codes].astype(np.int64), merged.levels)
