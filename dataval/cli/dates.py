"""Dates and times as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

__all__ = ["DAY_SECONDS", "read_days"]

DAY_SECONDS = 86400.0
_PROBED = 10
_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
_SHORTEST = len("1.1.2024")


def read_days(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Return dates as days since 1970, or None where some text is no date; all are written alike."""
    if not all(any(c.isdigit() for c in text) and len(text) >= _SHORTEST for text in texts[:_PROBED]):
        return None
    for layout in (None, *_DATES):
        try:
            return np.array([_moment(text, layout) for text in texts]) / DAY_SECONDS
        except (ValueError, OverflowError):
            continue
    return None


def _moment(text: str, layout: str | None) -> float:
    if layout is None and "-" not in text:  # 3.11 also reads 20240131, which may be any number
        raise ValueError(text)
    moment = datetime.fromisoformat(text) if layout is None else datetime.strptime(text, layout)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
