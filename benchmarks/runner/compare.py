"""Two documents of one suite, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.runner.documents import read, rows_of
from benchmarks.runner.machine import in_words
from benchmarks.runner.rows import Row
from benchmarks.runner.tables import number, table

TOLERANCE = 0.05
"""Relative change from which figures without repeats count as changed."""


@dataclass(frozen=True)
class Change:
    """One figure in two documents."""

    name: str
    before: Row | None
    after: Row | None

    @property
    def ratio(self) -> float | None:
        """The later figure over the earlier."""
        if self.before is None or self.after is None or not self.before.value or self.after.value is None:
            return None
        return self.after.value / self.before.value

    @property
    def verdict(self) -> str:
        """Return whether it changed by more than the repeats of either lie apart, and which way."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        before, after = self.before.value, self.after.value
        if before is None or after is None:
            return "" if self.before.status == self.after.status else f"now {self.after.status}"
        spreads = [row.spread for row in (self.before, self.after) if row.spread is not None]
        margin = max(spreads) if spreads else TOLERANCE * abs(before)
        if abs(after - before) <= margin:
            return ""
        if (better := self.after.better) is None:
            return "changed"
        return "better" if (after < before) == (better == "less") else "WORSE"


def changes(before: list[Row], after: list[Row]) -> list[Change]:
    """Return the figures of both, in the order of the first."""
    old, new = ({row.name: row for row in rows} for rows in (before, after))
    return [Change(name, old.get(name), new.get(name)) for name in {**old, **new}]


def compare(first: Path, second: Path) -> str:
    """Return a table of what changed from one file to another.

    Raises
    ------
    ValueError
        If a file holds no results, or they are those of two suites.
    """
    before, after = read(first), read(second)
    if before.get("suite") != after.get("suite"):
        raise ValueError(
            f"{first} holds the suite {before.get('suite')!r} and {second} {after.get('suite')!r}: "
            "compare files of one suite"
        )
    found = changes(rows_of(before), rows_of(after))
    cells = [
        (
            change.name,
            _figure(change.before),
            _figure(change.after),
            number(change.ratio),
            change.verdict,
        )
        for change in found
    ]
    heads = ("row", "before", "after", "ratio", "")
    described = [in_words(each.get("machine", {})) for each in (before, after)]
    where = [f"before: {described[0]}", f"after:  {described[1]}"]
    worse = sum(change.verdict == "WORSE" for change in found)
    flagged = sum(bool(change.verdict) for change in found)
    tail = f"{flagged} of {len(found)} rows changed by more than their spread, {worse} for the worse"
    return "\n".join([f"suite {before['suite']}", *where, table(heads, cells), tail])


def _figure(row: Row | None) -> str:
    if row is None or row.value is None:
        return "-" if row is None else row.status
    spread = "" if row.spread is None else f" [{number(row.low)}, {number(row.high)}]"
    return f"{number(row.value)}{spread}"
