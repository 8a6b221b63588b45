"""Numbers as people write them: thousands apart, decimal commas, percentages, currencies."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dataval.cli.numbers import is_code, is_number

__all__ = ["read_numbers"]

_MONEY = r"(?:[$€£¥₹₩₽]|US\$|USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD|kr\.?|zł)"
_DECORATED = re.compile(
    rf"(?P<open>\()?(?P<sign>[+\-\u2212])?\s?(?:{_MONEY}\s?)?(?P<late>[+\-\u2212])?"
    rf"(?P<body>(?:\d[\d.,'\u2019 \u00a0\u202f]*\d|\d|[.,]\d+))\s?(?P<after>%|{_MONEY})?(?(open)\))"
)
_SPACES = "'\u2019 \u00a0\u202f"
_POINT = re.compile(rf"\d{{1,3}}(?:([,{_SPACES}])\d{{3}})(?:\1\d{{3}})*(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_COMMA = re.compile(rf"\d{{1,3}}(?:([.{_SPACES}])\d{{3}})(?:\1\d{{3}})*(?:,\d+)?|\d+(?:,\d+)?|,\d+")
_PERCENT = 100.0

Numbers = npt.NDArray[np.float64]


def read_numbers(texts: Sequence[str], *, comma: bool = False) -> tuple[Numbers, bool]:
    """Read the texts of one column as numbers, all by the same convention.

    A comma that parts groups of three digits in all of them is one of thousands (1,234), unless `comma` says
    that the file has decimal commas; any other is a decimal comma.

    Parameters
    ----------
    texts : sequence of str, length n
        Stripped, none of them empty.
    comma : bool, default False
        Whether 1,234 is rather one and a fraction.

    Returns
    -------
    numbers : ndarray of float64, shape (n,)
        NaN for what is no number: codes such as 007, 3_7 and 1e5, and all other text.
    is_plain : bool
        Whether they are written as a program writes them.
    """
    plain = np.array([float(t) if is_number(t) and not is_code(t) else np.nan for t in texts])
    rest = [i for i, number in enumerate(np.isnan(plain).tolist()) if number]
    found = {i: match for i in rest if (match := _DECORATED.fullmatch(texts[i])) is not None}
    convention = _convention([match["body"] for match in found.values()], comma=comma)
    if not found or convention is None:
        return plain, True
    # A convention is the whole column's: 1.234 beside 1.234,50 is a thousand and more.
    bodies = [texts[i].lstrip("+-") for i in range(len(texts)) if i not in found and not np.isnan(plain[i])]
    if convention is _as_comma and all(_COMMA.fullmatch(body) for body in bodies):
        for i in range(len(texts)):
            if i not in found and not np.isnan(plain[i]):
                plain[i] = np.copysign(convention(texts[i].lstrip("+-")), plain[i])
    for i, match in found.items():
        plain[i] = _value(match, convention)
    return plain, False


def _convention(bodies: list[str], *, comma: bool) -> Callable[[str], float] | None:
    if any(is_code(body) for body in bodies):
        return None
    for pattern, read in ((_COMMA, _as_comma), (_POINT, _as_point))[:: 1 if comma else -1]:
        if all(pattern.fullmatch(body) for body in bodies):
            return read
    return None


def _as_point(body: str) -> float:
    return float("".join(c for c in body if c.isdigit() or c == "."))


def _as_comma(body: str) -> float:
    return float("".join("." if c == "," else c for c in body if c.isdigit() or c == ","))


def _value(match: re.Match[str], read: Callable[[str], float]) -> float:
    size = read(match["body"])
    is_negative = match["open"] or (match["sign"] or match["late"]) in {"-", "\u2212"}
    return (-size if is_negative else size) / (_PERCENT if match["after"] == "%" else 1.0)
