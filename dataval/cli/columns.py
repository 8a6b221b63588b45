"""Columns of a table as features, each by what its cells look like."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.cells import Cells, make_cells
from dataval.cli.dates import read_days
from dataval.cli.encoding import one_hot, standardised, word_features
from dataval.cli.errors import UsageError
from dataval.cli.formats import read_numbers
from dataval.cli.identifiers import is_identifier
from dataval.cli.table import shown

__all__ = ["MOST_CATEGORIES", "Features", "make_features"]

FloatArray = npt.NDArray[np.float64]
Block = npt.NDArray[np.float32]

MOST_CATEGORIES = 50
_MOSTLY = 0.8
_TEXT_WORDS, _TEXT_SHARE = 5, 0.5
_DIGITS = re.compile(r"[^\w\s]?\s?[+-]?\d[\d.,' \u00a0]*\s?[^\w\s]?")

_NAMES = "columns left out, as their text is different in every row (--text to learn from their words)"
_CONSTANT = "columns left out, as they are the same in every row"
_EMPTY = "columns left out, as no cell is filled"
_IDS = "columns left out, as they look like row numbers or ids (--keep to learn from them)"
_IMPUTED = "columns with missing cells, filled in by the median and marked"
_OWN = "columns with missing cells, which are taken as a category of their own"
_DATED = "columns of dates, taken as numbers of days"
_WORDS = "columns of text, taken by the words in them"
_RARE = f"columns of more than {MOST_CATEGORIES} different texts, of which the rarer are taken together"
_WRITTEN = "columns of numbers with separators, percent or currency signs, read as numbers"
_CODES = "columns that look like numbers but are codes, taken as categories"
_UNEVEN = "columns left out, as their lists are no numbers, or not of one length"


@dataclass
class Features:
    """What a model learns from.

    Attributes
    ----------
    X : ndarray of float32, shape (n, n_features)
        Columns with mean 0 and standard deviation 1.
    kinds : dict of str to list of str
        Names of the columns that were learnt from, by what they are: numbers, dates, categories, texts, lists.
    notes : list of str
        What was left out and filled in.
    """

    X: Block
    kinds: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Read:
    """A column: what it is, its features unless it is left out, and remarks on it."""

    kind: str
    block: Block | None
    remarks: list[str] = field(default_factory=list)


def make_features(
    frame: Any, *, keep: Collection[str] = (), text: Collection[str] = (), comma: bool = False
) -> Features:
    """Return columns as standardised features.

    Numbers and dates are standardised, missing ones the median and marked by a feature of their own; texts
    become the leading components of their words' weights; lists of numbers are as many numbers; everything else
    is one-hot, the 50 most frequent one by one. Columns that tell nothing are left out: constant or empty ones,
    row numbers, ids, and names that differ in every row.

    Parameters
    ----------
    frame : DataFrame, shape (n, n_columns)
        Text, or of whatever types a file holds.
    keep : collection of str
        Columns that are learnt from though they look like ids or names.
    text : collection of str
        Columns that are read as text.
    comma : bool, default False
        Whether 1,234 is one and a fraction.

    Raises
    ------
    UsageError
        If nothing is left, or a column's numbers are too large: all such columns are named.
    """
    found: dict[str, list[str]] = {}
    features, blocks, problems = Features(np.empty((len(frame), 0), np.float32)), [], []
    for name in frame.columns:
        try:
            read = _read(name, frame[name], kept=name in keep, as_text=name in text, comma=comma)
        except UsageError as problem:
            problems.append(str(problem))
            continue
        if read.block is not None:
            blocks.append(read.block)
            features.kinds.setdefault(read.kind, []).append(name)
        for remark in read.remarks:
            found.setdefault(remark, []).append(name)
    features.notes = [f"{remark}: {shown(names)}" for remark, names in found.items()]
    if not blocks and not problems:
        problems.append("; ".join(["no column is left to learn from", *features.notes]))
    if problems:
        raise UsageError("; ".join(problems))
    features.X = np.concatenate(blocks, axis=1)
    return features


def _read(name: str, column: Any, *, kept: bool, as_text: bool, comma: bool) -> _Read:
    kind = getattr(column.dtype, "kind", "O")
    if as_text:
        return _texts(make_cells(column))
    if kind in "iuf" and not hasattr(column, "cat"):
        return _numbers(name, column.to_numpy(dtype=np.float64, na_value=np.nan), kept=kept)
    if kind == "M":
        days = (
            column.astype("datetime64[ns]" if column.dt.tz is None else "datetime64[ns, UTC]").astype("int64")
            / 8.64e13
        )
        return _moments(np.where(column.isna(), np.nan, days.to_numpy()))
    if column.dtype == object and (lists := _lists(column)) is not None:
        return lists
    return _of_text(name, make_cells(column), kept=kept, comma=comma)


def _of_text(name: str, cells: Cells, *, kept: bool, comma: bool) -> _Read:
    if not cells.filled:
        return _Read("empty", None, [_EMPTY])
    if len(cells.levels) == 1:
        return _Read("constant", None, [_CONSTANT])
    if (numbers := _as_numbers(cells, comma=comma)) is not None:
        values, is_plain = numbers
        read = _numbers(name, values, kept=kept)
        read.remarks += [] if is_plain or read.block is None else [_WRITTEN]
        return read
    if (days := read_days(cells.filled)) is not None:
        return _moments(cells.spread_filled(days))
    n_filled = int(cells.counts[~cells.missing].sum())
    if len(cells.filled) > _TEXT_SHARE * n_filled and cells.median_words() >= _TEXT_WORDS:
        return _texts(cells)
    return _categories(cells, all_differ=len(cells.filled) == n_filled > 1, kept=kept)


def _as_numbers(cells: Cells, *, comma: bool) -> tuple[FloatArray, bool] | None:
    """Return cells as numbers, but for some words without a digit such as "unknown"."""
    numbers, is_plain = read_numbers(cells.filled, comma=comma)
    are = ~np.isnan(numbers)
    others = [cell for cell, is_one in zip(cells.filled, are.tolist(), strict=True) if not is_one]
    counts = cells.counts[~cells.missing]
    if any(c.isdigit() for cell in others for c in cell) or counts[are].sum() < max(
        1.0, _MOSTLY * counts.sum()
    ):
        return None
    return cells.spread_filled(numbers), is_plain


def _numbers(name: str, numbers: FloatArray, *, kept: bool) -> _Read:
    missing = np.isnan(numbers)
    if missing.all():
        return _Read("empty", None, [_EMPTY])
    if np.isinf(numbers).any():
        raise UsageError(
            f"column {name!r} holds numbers that are too large: scale them, or drop the column (--drop)"
        )
    if not kept and not missing.any() and is_identifier(name, numbers):
        return _Read("id", None, [_IDS])
    read = _Read("numbers", *_filled_in(numbers, missing))
    return read if read.block is not None else _Read("constant", None, [_CONSTANT])


def _moments(days: FloatArray) -> _Read:
    missing = np.isnan(days)
    if missing.all():
        return _Read("empty", None, [_EMPTY])
    block, remarks = _filled_in(days, missing)
    return (
        _Read("dates", block, [_DATED, *remarks]) if block is not None else _Read("constant", None, [_CONSTANT])
    )


def _filled_in(numbers: FloatArray, missing: npt.NDArray[np.bool_]) -> tuple[Block | None, list[str]]:
    """Return numbers with the median in place of missing ones, and a column that marks those."""
    if not missing.any():
        return (standardised(numbers[:, None]), []) if numbers.min() < numbers.max() else (None, [])
    filled = np.where(missing, np.median(numbers[~missing]), numbers)
    return standardised(np.stack([filled, missing.astype(np.float64)], axis=1)), [_IMPUTED]


def _categories(cells: Cells, *, all_differ: bool, kept: bool) -> _Read:
    looks_like_codes = np.mean([_DIGITS.fullmatch(cell) is not None for cell in cells.filled]) >= _MOSTLY
    if all_differ:
        return _texts(cells) if kept else _Read("name", None, [_NAMES])
    block, is_cut = one_hot(cells, MOST_CATEGORIES)
    remarks = [
        remark
        for remark, applies in ((_CODES, looks_like_codes), (_RARE, is_cut), (_OWN, cells.missing.any()))
        if applies
    ]
    return _Read("categories", block, remarks)


def _texts(cells: Cells) -> _Read:
    if not cells.filled:
        return _Read("empty", None, [_EMPTY])
    block = word_features(cells)
    return _Read("texts", block, [_WORDS]) if block is not None else _Read("constant", None, [_CONSTANT])


def _lists(column: Any) -> _Read | None:
    """Return lists of numbers as so many columns, or None for what is no list."""
    filled = column[column.notna()]
    if not len(filled) or not all(isinstance(cell, (list, tuple, np.ndarray)) for cell in filled):
        return None
    lengths = {len(cell) for cell in filled}
    try:
        first = np.stack([np.asarray(cell, dtype=np.float32).reshape(-1) for cell in filled])
    except (ValueError, TypeError):
        return _Read("lists", None, [_UNEVEN])
    if len(lengths) != 1 or not first.shape[1] or not np.isfinite(first).all():
        return _Read("lists", None, [_UNEVEN])
    if len(filled) < len(column):
        rows = np.tile(np.median(first, axis=0), (len(column), 1)).astype(np.float32)
        rows[column.notna().to_numpy()] = first
        first = rows
    return _Read("lists", standardised(first.astype(np.float64)))
