"""A table: its cells by column, and what is known of how it was read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dataval.cli.errors import UsageError

__all__ = ["Table", "first_repeated", "is_missing", "is_unlabelled", "pandas", "shown"]

_EMPTY = frozenset({"", "?", "nan"})
_MISSING = _EMPTY | {"na", "n/a", "#n/a", "<na>", "nat", "null", "none", "-", "--", "n.a.", "#null!", "missing"}
_SHOWN = 12


@dataclass
class Table:
    """Cells by column.

    Attributes
    ----------
    frame : DataFrame, shape (n, n_columns)
        Columns of text, or of whatever a typed file holds; their names are text, and all different.
    label : str
        The column of labels.
    notes : list of str
        What the user should know about how it was read.
    comma : bool
        Whether 1,234 is rather one and a fraction than a thousand and more.
    images : ndarray of float32, shape (n, channels, height, width), or None
        Of a data set whose samples are images.
    """

    frame: Any
    label: str
    notes: list[str] = field(default_factory=list)
    comma: bool = False
    images: Any = None


def pandas(what: str) -> Any:
    """Return pandas.

    Raises
    ------
    UsageError
        If it isn't installed; `what` needs it.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError(f"{what} needs pandas and pyarrow: pip install 'dataval[tables]'") from error
    return pd


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
