"""Reading a table from text: CSV, tab-separated, with semicolons, compressed, with or without a header."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataval.cli.errors import UsageError
from dataval.cli.inputs import check_input, check_size, decode, read_limited
from dataval.cli.numbers import is_number
from dataval.cli.table import Table, first_repeated, is_missing

__all__ = ["TEXT_SUFFIXES", "is_delimited", "read_delimited"]

TEXT_SUFFIXES = (".csv", ".tsv")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_MOST_BYTES = 2**28
_ADVICE = "pass a part of it, or arrays in a .npz"
_DELIMITERS = "\t;|,"  # of two that give as many columns, the rarer one within text comes first
_PROBE_ROWS, _PROBE_CHARACTERS = 50, 2**16
_HEADER_ROWS = 1000

Rows = list[list[str]]


def is_delimited(path: Path) -> bool:
    """Return whether a file's name ends as those of text tables do, compressed or not."""
    return _plain_name(path).endswith(TEXT_SUFFIXES)


def read_delimited(path: Path, label: str, header: bool | None) -> Table:
    """Read a table.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.tsv``, maybe followed by ``.gz``, ``.bz2`` or ``.xz``. The delimiter is the one of comma,
        tab, semicolon and bar that gives the most columns in all of the first rows.
    label : str
        Name of the column of labels; without a header its number from 0, or its cell in the first row.
    header : bool or None
        Whether the first row names the columns; None decides by whether it looks like the others.

    Raises
    ------
    UsageError
        If the file is no such table.
    """
    text = decode(_content(path), path)
    rows = _parse(text, _delimiter(text, path), path)
    if header is None:
        header = len(rows) < 2 or _has_header(rows[0], rows[1 : _HEADER_ROWS + 1], label)
        if not header:
            return _without_header(rows, path, label, guessed=True)
    return _with_header(rows, path, label) if header else _without_header(rows, path, label, guessed=False)


def _plain_name(path: Path) -> str:
    name = path.name.lower()
    for suffix in _OPENERS:
        name = name.removesuffix(suffix)
    return name


def _content(path: Path) -> bytes:
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        return read_limited(path, _MOST_BYTES, _ADVICE)
    check_input(path)
    try:
        with opener(path, "rb") as stream:
            content: bytes = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise UsageError(f"{path} can't be unpacked: {error}") from error
    check_size(path, len(content), _MOST_BYTES, _ADVICE)
    return content


def _delimiter(text: str, path: Path) -> str:
    start = text[:_PROBE_CHARACTERS]
    if len(start) < len(text):
        start = start[: start.rfind("\n") + 1] or start
    found = {mark: _width(start, mark) for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: found[mark])
    default = "\t" if _plain_name(path).endswith(".tsv") else ","
    return best if found[best] > 1 else default


def _width(text: str, delimiter: str) -> int:
    """Return the number of columns where all of the first rows have as many, and otherwise 0."""
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        widths = {len(row) for row, _ in zip(rows, range(_PROBE_ROWS), strict=False) if row}
    except csv.Error:
        return 0
    return widths.pop() if len(widths) == 1 else 0


def _parse(text: str, delimiter: str, path: Path) -> Rows:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise UsageError(f"{path} can't be read as CSV: {error}") from error
    if not rows:
        raise UsageError(f"{path} is empty: a header and one row a sample are needed")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(rows[0]):
            raise UsageError(f"{path}: row {number} has {len(row)} cells, the header {len(rows[0])}")
    return rows


def _with_header(rows: Rows, path: Path, label: str) -> Table:
    if len(rows) < 2:
        raise UsageError(f"{path} is empty: a header and one row a sample are needed")
    names = [name.strip() or f"column {i}" for i, name in enumerate(rows[0])]
    if (twice := first_repeated(names)) is not None:
        raise UsageError(f"{path}: two columns have the same name {twice!r}: rename one")
    return Table(_columns(names, rows[1:]), label)


def _without_header(rows: Rows, path: Path, label: str, *, guessed: bool) -> Table:
    names = [str(i) for i in range(len(rows[0]))]
    if label not in names and label in rows[0]:
        label = names[rows[0].index(label)]
    if label not in names:
        raise UsageError(
            f"{path} has no header: name the column of labels by its number, from --label 0 to "
            f"--label {len(names) - 1}; or pass --header if the first row names the columns"
        )
    note = "the first row looks like data, so it is ranked too (--header if it names the columns)"
    return Table(_columns(names, rows), label, [note] if guessed else [])


def _columns(names: list[str], rows: Rows) -> dict[str, list[str]]:
    return dict(zip(names, (list(cells) for cells in zip(*rows, strict=True)), strict=True))


def _has_header(first: list[str], body: Rows, label: str) -> bool:
    """Return whether the first row names the columns, as far as the others tell."""
    names = [name.strip() for name in first]
    columns = [[row[i].strip() for row in body] for i in range(len(first))]
    if label in names and label not in columns[names.index(label)]:
        return True
    votes = [_vote(i, name, cells) for i, (name, cells) in enumerate(zip(names, columns, strict=True))]
    return sum(votes) >= 0


def _vote(position: int, first: str, cells: list[str]) -> int:
    """Return 1 where a cell differs from those below it in kind, -1 where it is one of them."""
    filled = [cell for cell in cells if not is_missing(cell)]
    if filled and all(is_number(cell) for cell in filled):
        if is_missing(first) or first in {str(position), str(position + 1)}:
            return 0
        return -1 if is_number(first) else 1
    return -1 if first in cells else 0
