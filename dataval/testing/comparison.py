"""Comparing arrays on their own scale, and derivatives with differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIFFERENCES", "ROUNDING", "SUMMED", "assert_near", "central"]

ROUNDING = 1e-12
"""Tolerance where both sides do the same float64 arithmetic in another order."""

SUMMED = 1e-11
"""The same where many terms are summed."""

DIFFERENCES = 1e-7
"""Tolerance of `central`: its error is about 1e-11 of the function's scale, up to 1000 times the result's."""


def central(function: Callable[[float], Any], step: float = 1e-4) -> Any:
    """Return the derivative at 0 of a function of a shift, by central differences of fourth order.

    Parameters
    ----------
    function : callable
        Takes a number, returns a number or an ndarray of float64.
    step : float, default 1e-4
        Truncation is of the order of ``step**4 = 1e-16``, rounding of ``1e-16 / step = 1e-12``.
    """
    inner = function(step) - function(-step)
    outer = function(2 * step) - function(-2 * step)
    return (8 * inner - outer) / (12 * step)


def assert_near(found: NDArray[Any], expected: NDArray[Any], tolerance: float) -> None:
    """Fail unless shapes are equal, and values up to a tolerance relative to the largest expected entry."""
    assert found.shape == expected.shape
    if not expected.size:
        return
    error, scale = np.abs(found - expected).max(), np.abs(expected).max()
    assert error <= tolerance * scale, f"largest error {error:.2e}, largest entry {scale:.2e}"
