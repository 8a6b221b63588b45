"""Reading tables whose columns have types: Parquet, Feather, JSON lines, Excel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dataval.cli.errors import UsageError
from dataval.cli.inputs import check_input, find_encoding
from dataval.cli.packed import plain_name, unpacked
from dataval.cli.table import Table, first_repeated, pandas

__all__ = ["BROKEN", "TYPED_SUFFIXES", "is_typed", "read_typed", "table_of"]

BROKEN = (ValueError, OSError, TypeError, RuntimeError, LookupError, AttributeError, StopIteration)
"""What readers raise for a file that is not what its name says."""


def is_typed(path: Path) -> bool:
    """Return whether a file's name ends as those of such tables do."""
    return plain_name(path).endswith(TYPED_SUFFIXES)


def read_typed(path: Path, label: str) -> Table:
    """Read a table.

    Parameters
    ----------
    path : Path
        ``.parquet``, ``.feather``, ``.arrow``, ``.jsonl``, ``.ndjson``, ``.xlsx``. An index that is not the row
        numbers becomes columns, and every nested field one.
    label : str
        Name of the column of labels.

    Raises
    ------
    UsageError
        If it can't be read.
    """
    check_input(path)
    pd = pandas(f"{path.suffix} (a table)")
    suffix = next(each for each in TYPED_SUFFIXES if plain_name(path).endswith(each))
    kind, read = _READERS[suffix]
    try:
        frame = read(pd, path)
    except ImportError as error:
        extra = "excel" if kind == "Excel" else "tables"
        raise UsageError(f"{kind} needs more than is installed: pip install 'dataval[{extra}]'") from error
    except BROKEN as error:
        raise UsageError(f"{path} can't be read as {kind}: {error}") from error
    return table_of(frame, path, label)


def table_of(frame: Any, path: Path, label: str) -> Table:
    """Return a frame as a table: with its index, nested columns taken apart.

    Raises
    ------
    UsageError
        If it is empty, or two columns have the same name.
    """
    if frame.index.names != [None]:
        frame = frame.reset_index(
            names=[str(n) if n is not None else f"index {i}" for i, n in enumerate(frame.index.names)]
        )
    elif not (frame.index == np.arange(len(frame))).all():
        frame = frame.reset_index(names="index" if "index" not in frame.columns else "row index")
    if not len(frame):
        raise UsageError(f"{path} is empty: one row a sample is needed")
    frame.columns = ["/".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in frame.columns]
    frame = _flat(frame)
    if (twice := first_repeated(frame.columns)) is not None:
        raise UsageError(f"{path}: two columns have the same name {twice!r}: rename one")
    return Table(frame, label)


def _flat(frame: Any) -> Any:
    """Return a frame with a column for every nested field; lists stay lists."""
    pd = pandas("a table")
    parts = []
    for i, name in enumerate(frame.columns):
        column = frame.iloc[:, i]
        filled = column[column.notna()] if column.dtype == object else column[:0]
        if len(filled) and all(isinstance(cell, dict) for cell in filled):
            empty: dict[str, Any] = {}
            inner = pd.json_normalize([cell if isinstance(cell, dict) else empty for cell in column])
            parts.append(inner.add_prefix(f"{name}.").set_index(frame.index))
        else:
            parts.append(column)
    return pd.concat(parts, axis=1) if any(part.ndim == 2 for part in parts) else frame


def _lines(pd: Any, path: Path) -> Any:
    content = unpacked(path)
    text = content.decode(find_encoding(content, path))
    is_list = text.lstrip()[:1] == "["
    rows = json.loads(text) if is_list else [json.loads(line) for line in text.split("\n") if line.strip()]
    if odd := [number for number, row in enumerate(rows) if not isinstance(row, dict)]:
        raise ValueError(f"row {odd[0]} is no mapping of names to cells")
    return pd.DataFrame(rows)


_READERS: dict[str, tuple[str, Callable[[Any, Path], Any]]] = {
    ".parquet": ("Parquet", lambda pd, path: pd.read_parquet(path)),
    ".pq": ("Parquet", lambda pd, path: pd.read_parquet(path)),
    ".feather": ("Feather", lambda pd, path: pd.read_feather(path)),
    ".arrow": ("Feather", lambda pd, path: pd.read_feather(path)),
    ".jsonl": ("JSON lines", _lines),
    ".ndjson": ("JSON lines", _lines),
    ".json": ("JSON", _lines),
    ".xlsx": ("Excel", lambda pd, path: pd.read_excel(path, engine="openpyxl")),
    ".xlsm": ("Excel", lambda pd, path: pd.read_excel(path, engine="openpyxl")),
}
TYPED_SUFFIXES = tuple(_READERS)
