"""A table as it was read, before any cell is taken for a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dataval.cli.errors import UsageError

__all__ = ["Table", "first_repeated", "is_missing", "is_unlabelled", "shown"]

_EMPTY = frozenset({"", "?", "nan"})
_MISSING = _EMPTY | {"na", "n/a", "#n/a", "<na>", "nat", "null", "none", "-", "--"}
_SHOWN = 12


@dataclass
class Table:
    """Cells by column.

    Attributes
    ----------
    columns : dict of str to list of str
        All of the same length.
    label : str
        The column of labels.
    notes : list of str
        What the user should know about how it was read.
    """

    columns: dict[str, list[str]]
    label: str
    notes: list[str] = field(default_factory=list)

    def labels(self, where: Any) -> list[str]:
        """Return the labels; `where` is what messages call the file.

        Raises
        ------
        UsageError
            If there is no such column, or no other.
        """
        if self.label not in self.columns:
            raise UsageError(
                f"{where} has no column {self.label!r}: name the labels with --label, one of "
                f"{shown(self.columns)}"
            )
        if len(self.columns) < 2:
            raise UsageError(f"{where} has no column beside {self.label!r}: there are no features")
        return self.columns[self.label]


def is_missing(cell: str) -> bool:
    """Return whether a stripped cell stands for nothing, in any of the usual ways."""
    return cell.casefold() in _MISSING


def is_unlabelled(cell: str) -> bool:
    """Return whether a label is missing; fewer ways count than in a feature, as "none" can be a class."""
    return cell.casefold() in _EMPTY


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that was there before, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def shown(names: Any) -> str:
    """Return names for a message, the first few of many."""
    listed = [repr(name) for name in names]
    more = [f"and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []
    return ", ".join([*listed[:_SHOWN], *more])
