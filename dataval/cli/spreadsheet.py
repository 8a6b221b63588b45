"""CSV that a spreadsheet can open without running what its cells say."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from dataval.cli.numbers import is_number

__all__ = ["as_csv", "csv_parts", "safe_cell"]

_SIGNS = "=+-@"
_WIDE = "".join(chr(ord(sign) + 0xFEE0) for sign in _SIGNS)  # which some spreadsheets take for the narrow ones
_PART_ROWS = 1000
_FORMULA = tuple(f"{_SIGNS}{_WIDE}\t\n")


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV with commas and line feeds, each cell made safe."""
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([safe_cell(cell) for cell in row] for row in rows)
    return stream.getvalue()


def csv_parts(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield rows as CSV, a thousand at a time."""
    each = iter(rows)
    while part := list(islice(each, _PART_ROWS)):
        yield as_csv(part)


def safe_cell(cell: object) -> str:
    """Return a cell's text; with an apostrophe in front where a spreadsheet would take it for a formula.

    Numbers such as -1.5 stay numbers. Carriage returns become line feeds, which the writer puts in quotes.
    """
    text = str(cell)
    if text[:1].isalnum() and "\r" not in text:
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    is_formula = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if is_formula and not is_number(text.strip()) else text
