"""Reading a table from text: any delimiter, encoding and compression, with or without a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dataval.cli.errors import UsageError
from dataval.cli.inputs import find_encoding
from dataval.cli.numbers import is_number
from dataval.cli.packed import plain_name, unpacked
from dataval.cli.table import Table, first_repeated, is_missing, pandas

__all__ = ["TEXT_SUFFIXES", "is_delimited", "read_delimited"]

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data")
_DELIMITERS = "\t;|,"  # of two that give as many columns, the rarer one within text comes first
_RARE_DELIMITERS = "~^: "  # where none of those parts anything
_PROBE_ROWS, _PROBE_CHARACTERS = 50, 2**16
_HEADER_ROWS, _PART_CELLS = 1000, 200_000
_MOST_ODD = 5

Rows = list[list[str]]


def is_delimited(path: Path) -> bool:
    """Return whether a file's name ends as those of text tables do, compressed or not."""
    return plain_name(path).endswith(TEXT_SUFFIXES)


def read_delimited(path: Path, label: str, header: bool | None) -> Table:
    """Read a table.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.tsv``, ``.txt``, ..., maybe compressed. The delimiter is the one of comma, tab, semicolon
        and bar that gives the most columns in all of the first rows, or else one of ``~^:`` and the space.
    label : str
        Name of the column of labels; without a header its number from 0, or its cell in the first row.
    header : bool or None
        Whether the first row names the columns; None decides by whether it looks like the others.

    Raises
    ------
    UsageError
        If the file is no such table.
    """
    pandas("a table")
    content = unpacked(path)
    encoding = find_encoding(content, path)
    delimiter = _delimiter(content, encoding, path)
    try:
        table = _read(lambda: _rows(content, encoding, delimiter), path, label, header)
    except csv.Error as error:
        raise UsageError(f"{path} can't be read as CSV: {error}") from error
    table.comma = delimiter == ";"
    if encoding == "cp1252":
        table.notes.append("the file is not UTF-8, so it is read as Windows' Western encoding (cp1252)")
    return table


def _rows(content: bytes, encoding: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows that are not empty."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline="")
    return (row for row in csv.reader(text, delimiter=delimiter, strict=True) if row)


def _delimiter(content: bytes, encoding: str, path: Path) -> str:
    start = content[:_PROBE_CHARACTERS].decode(encoding, "ignore")
    if len(content) > _PROBE_CHARACTERS:
        start = start[: start.rfind("\n") + 1] or start
    for marks in (_DELIMITERS, _RARE_DELIMITERS):
        found = {mark: _width(start, mark) for mark in marks}
        best = max(marks, key=lambda mark: found[mark])
        if found[best] > 1:
            return best
    return "\t" if plain_name(path).endswith((".tsv", ".tab")) else ","


def _width(text: str, delimiter: str) -> int:
    """Return the number of columns where all of the first rows have as many, and otherwise 0."""
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        widths = {len(row) for row, _ in zip(rows, range(_PROBE_ROWS), strict=False) if row}
    except csv.Error:
        return 0
    return widths.pop() if len(widths) == 1 else 0


def _read(rows: Callable[[], Iterator[list[str]]], path: Path, label: str, header: bool | None) -> Table:
    first = list(islice(rows(), _HEADER_ROWS + 1))
    if not first or (len(first) < 2 and header is not False):
        raise UsageError(f"{path} is empty: a header and one row a sample are needed")
    is_guess = header is None
    if header is None:
        header = len({len(row) for row in first}) > 1 or _has_header(first[0], first[1:], label)
    if not header:
        names, label = _numbered(first[0], path, label)
        note = "the first row looks like data, so it is ranked too (--header if it names the columns)"
        return Table(_frame(rows(), names, path), label, [note] if is_guess else [])
    names = [name.strip() or f"column {i}" for i, name in enumerate(first[0])]
    twice = first_repeated(names)
    frame = _frame(islice(rows(), 1, None), names, path, also=_repeated(path, twice))
    return Table(frame, label)


def _repeated(path: Path, name: str | None) -> list[str]:
    return [] if name is None else [f"{path}: two columns have the same name {name!r}: rename one"]


def _numbered(first: list[str], path: Path, label: str) -> tuple[list[str], str]:
    names = [str(i) for i in range(len(first))]
    if label not in names and label in first:
        label = names[first.index(label)]
    if label not in names:
        raise UsageError(
            f"{path} has no header: name the column of labels by its number, from --label 0 to "
            f"--label {len(names) - 1}; or pass --header if the first row names the columns"
        )
    return names, label


def _frame(rows: Iterator[list[str]], names: list[str], path: Path, also: list[str] | None = None) -> Any:
    """Return rows as a frame of text, a part of them at a time; or raise for all that is wrong with them."""
    pd = pandas("a table")
    odd: list[str] = []
    parts, done = [], 0
    while part := list(islice(rows, max(1, _PART_CELLS // len(names)))):
        odd += [
            f"row {done + i} has {len(row)} cells, the header {len(names)}"
            for i, row in enumerate(part, 1)
            if len(row) != len(names)
        ]
        done += len(part)
        if not odd and not also:
            parts.append(dict(pd.DataFrame(part, columns=names, dtype=str).items()))
    if odd or also:
        more = [f"and {len(odd) - _MOST_ODD} more such rows"] if len(odd) > _MOST_ODD else []
        raise UsageError("; ".join([*(also or []), *(f"{path}: {each}" for each in odd[:_MOST_ODD]), *more]))
    whole = {name: pd.concat([part.pop(name) for part in parts], ignore_index=True) for name in names}
    return pd.DataFrame(whole, copy=False)


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
