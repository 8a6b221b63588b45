"""Rows as text."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.runner.rows import Row


def number(value: float | None) -> str:
    """Return a number in few digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def line(row: Row) -> str:
    """Return a row as one line."""
    if row.value is None:
        return f"{row.name}: {row.status} ({row.note})"
    spread = "" if row.spread is None else f" [{number(row.low)}, {number(row.high)}]"
    bounds = [f"{name} {number(bound)}" for name, bound in (("floor", row.floor), ("aim", row.aim)) if bound]
    held = f"  ({', '.join(bounds)}: {row.verdict})" if bounds else ""
    note = f"  {row.note}" if row.note else ""
    return f"{row.name}: {number(row.value)} {row.unit}{spread}{held}{note}"


def table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return cells in columns, the first to the left and the others to the right."""
    widths = [max(len(each) for each in column) for column in zip(heads, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heads, *cells]
    ]
    return "\n".join(lines)
