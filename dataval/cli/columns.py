"""Columns of a table as features: numbers, dates and categories, each by what its cells look like."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from dataval.cli.errors import UsageError
from dataval.cli.numbers import is_code, is_number
from dataval.cli.table import is_missing, shown

__all__ = ["MOST_CATEGORIES", "make_features", "standardised"]

FloatArray = npt.NDArray[np.float64]

MOST_CATEGORIES = 50
_MOSTLY = 0.8
_HUGE = 1e100
_DAY_SECONDS = 86400.0
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
_DECORATED = re.compile(r"[^\w\s]?\s?[+-]?\d[\d.,' \u00a0]*\s?[^\w\s]?")
_ROW_NUMBERS = {"", "column 0", "unnamed: 0", "index", "id", "row", "no", "nr", "#"}

_NAMES = "columns left out, as their text is different in every row"
_CONSTANT = "columns left out, as they are the same in every row"
_EMPTY = "columns left out, as no cell is filled"
_NUMBERED = "columns left out, as they number the rows"
_IMPUTED = "columns with missing cells, filled in by the median and marked"
_OWN = "columns with missing cells, which are taken as a category of their own"
_DATED = "columns of dates, taken as numbers of days"
_RARE = f"columns of more than {MOST_CATEGORIES} different texts, of which the rarer are taken together"
_ODD = "columns that look like numbers but are written otherwise, taken as categories (plain: 1234.5)"


def make_features(columns: dict[str, list[str]]) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return columns as standardised features.

    Numbers and dates are standardised, missing ones the median and marked by a feature of their own; everything
    else is one-hot, the 50 most frequent texts one by one. Columns that tell nothing are left out: constant or
    empty ones, row numbers, and text that differs in every row.

    Parameters
    ----------
    columns : dict of str to list of str
        Cells by column.

    Returns
    -------
    features : ndarray of float32, shape (n, n_features)
    notes : list of str
        What was left out and filled in.

    Raises
    ------
    UsageError
        If nothing is left.
    """
    found: dict[str, list[str]] = {}
    blocks = []
    for name, cells in columns.items():
        block, remarks = _feature(name, [cell.strip() for cell in cells])
        blocks += [] if block is None else [standardised(block)]
        for remark in remarks:
            found.setdefault(remark, []).append(name)
    notes = [f"{remark}: {shown(names)}" for remark, names in found.items()]
    if not blocks:
        raise UsageError(f"no column is left to learn from; {'; '.join(notes)}")
    return np.concatenate(blocks, axis=1), notes


def standardised(features: FloatArray) -> npt.NDArray[np.float32]:
    """Return columns with mean 0 and standard deviation 1, or 0 where they are constant."""
    largest = np.abs(features).max(axis=0, initial=0.0)
    features = features / np.where(largest > _HUGE, largest, 1.0)  # whose squares would overflow
    spread = features.std(axis=0)
    spread[spread == 0.0] = 1.0
    return np.asarray((features - features.mean(axis=0)) / spread, dtype=np.float32)


def _feature(name: str, cells: list[str]) -> tuple[FloatArray | None, list[str]]:
    """Return a column's features, or None, with remarks on it."""
    filled = [cell for cell in cells if not is_missing(cell)]
    if not filled:
        return None, [_EMPTY]
    if len(set(cells)) == 1:
        return None, [_CONSTANT]
    if _are_numbers(filled):
        return _numeric(name, cells)
    if (days := _days(filled)) is not None:
        block, remarks = _filled_in(cells, days)
        return block, [_DATED, *remarks]
    return _categorical(cells, filled)


def _are_numbers(filled: list[str]) -> bool:
    """Return whether cells are numbers, but for some words without a digit such as "unknown"."""
    numbers = [cell for cell in filled if is_number(cell)]
    others = {cell for cell in filled if not is_number(cell)}
    has_codes = any(is_code(cell) for cell in numbers) or any(c.isdigit() for cell in others for c in cell)
    return not has_codes and len(numbers) >= max(1.0, _MOSTLY * len(filled))


def _numeric(name: str, cells: list[str]) -> tuple[FloatArray | None, list[str]]:
    cells = [cell if is_number(cell) else "" for cell in cells]
    numbers = np.array([float(cell) for cell in cells if cell])
    if not np.isfinite(numbers).all():
        raise UsageError(f"column {name!r} holds numbers that are too large: scale them, or drop the column")
    if _number_rows(name, numbers, len(cells)):
        return None, [_NUMBERED]
    return _filled_in(cells, numbers)


def _number_rows(name: str, numbers: FloatArray, n_rows: int) -> bool:
    steps = np.diff(numbers)
    return name.casefold() in _ROW_NUMBERS and len(numbers) == n_rows and bool((steps == 1.0).all())


def _filled_in(cells: list[str], numbers: FloatArray) -> tuple[FloatArray, list[str]]:
    """Return numbers with the median in place of missing cells, and a column that marks those."""
    missing = np.array([is_missing(cell) for cell in cells])
    column = np.full(len(cells), np.median(numbers))
    column[~missing] = numbers
    if not missing.any():
        return column[:, None], []
    return np.stack([column, missing.astype(np.float64)], axis=1), [_IMPUTED]


def _days(filled: list[str]) -> FloatArray | None:
    """Return dates as days since 1970, or None where some cell is no date."""
    if not all(any(c.isdigit() for c in cell) and len(cell) >= len("1.1.2024") for cell in filled[:10]):
        return None
    for layout in (None, *_DATES):
        try:
            return np.array([_moment(cell, layout) for cell in filled]) / _DAY_SECONDS
        except (ValueError, OverflowError):
            continue
    return None


def _moment(text: str, layout: str | None) -> float:
    if layout is None and "-" not in text:  # 3.11 also reads 20240131, which may be any number
        raise ValueError(text)
    moment = datetime.fromisoformat(text) if layout is None else datetime.strptime(text, layout)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _categorical(cells: list[str], filled: list[str]) -> tuple[FloatArray | None, list[str]]:
    decorated = sum(_DECORATED.fullmatch(cell) is not None for cell in filled) >= _MOSTLY * len(filled)
    remarks = [_ODD] if decorated else []
    if not decorated and len(set(filled)) == len(filled) > 1:
        return None, [_NAMES]
    known = ["" if is_missing(cell) else cell for cell in cells]
    block, is_cut = _one_hot(known)
    remarks += [_RARE] if is_cut else []
    return block, [*remarks, *([_OWN] if "" in known else [])]


def _one_hot(cells: list[str]) -> tuple[FloatArray, bool]:
    """Return one column a category, with a last one for the rarer where there are too many."""
    counts = Counter(cells)
    is_cut = len(counts) > MOST_CATEGORIES
    order = sorted(counts, key=lambda text: (-counts[text], text)) if is_cut else sorted(counts)
    position = {text: min(i, MOST_CATEGORIES) for i, text in enumerate(order)}
    index = [position[cell] for cell in cells]
    return np.asarray(np.eye(max(index) + 1)[index]), is_cut
