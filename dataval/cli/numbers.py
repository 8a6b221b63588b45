"""Which texts are plain numbers: narrower than Python's float, which also reads 3_7, nan and 007."""

from __future__ import annotations

import re

__all__ = ["is_code", "is_number"]

_NUMBER = re.compile(r"[+-]?(?:\d+(?:[eE][+-]\d+)?|(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)
_CODE = re.compile(r"[+-]?0\d.*", re.ASCII)


def is_number(text: str) -> bool:
    """Return whether a text is a number in plain or scientific notation.

    An exponent needs a sign or a decimal point, as every program writes it: ``1e5`` is rather a code.
    """
    return _NUMBER.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Return whether digits begin with a zero that a number would not have, such as 007."""
    return _CODE.fullmatch(text) is not None
