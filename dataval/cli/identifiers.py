"""Which columns of numbers only name the rows."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

__all__ = ["is_identifier"]

_NUMBERED = {"", "column 0", "index", "row", "no", "nr", "#", "id", "row index"}
_NAMED = re.compile(
    r"(?:^|.*[\s_.\-])(?:id|ids|key|uuid|guid|idx|index|rownum|row_?number)$|^unnamed: ?\d+$", re.IGNORECASE
)
_CAMEL = re.compile(r".*[a-z](?:Id|ID|Key|Index)$|^(?:ID|Id)[A-Z_].*$")


def is_identifier(name: str, numbers: npt.NDArray[np.float64]) -> bool:
    """Return whether a column's name is that of an id, and its numbers are whole and all different."""
    named = name.casefold() in _NUMBERED or _NAMED.match(name) or _CAMEL.match(name)
    if not named or not (numbers == np.round(numbers)).all():
        return False
    return len(np.unique(numbers)) == len(numbers)
