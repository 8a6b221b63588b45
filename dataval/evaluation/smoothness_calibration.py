"""What signs of smooth training say about exact values: logistic regressions on measured trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

__all__ = ["COEFFICIENTS", "FEATURES", "Sign", "probability_of"]

Sign = Literal["metasmoothness", "displacement", "agreement"]

FEATURES: dict[Sign, Callable[[float], float]] = {
    "metasmoothness": lambda share: float(np.log(np.clip(1 - share, 1e-3, 1))),
    "displacement": lambda moved: float(np.log(np.clip(moved, 1e-5, 10))),
    "agreement": lambda r: float(np.log(np.clip(1 - r, 1e-4, 2))),
}
"""Each grows with chaos."""

COEFFICIENTS: dict[Sign, tuple[float, float]] = {
    "metasmoothness": (-3.1, -1.59),
    "displacement": (-5.11, -1.39),
    "agreement": (-3.39, -1.35),
}
"""Intercept and slope of the log-odds of a linear datamodeling score of at least 0.9 at 1 % removed."""


def probability_of(signs: Mapping[Sign, float]) -> float | None:
    """Return the probability of a score of at least 0.9 at 1 % removed, by the mean log-odds of the signs."""
    odds = [COEFFICIENTS[name][0] + COEFFICIENTS[name][1] * FEATURES[name](x) for name, x in signs.items()]
    return float(1 / (1 + np.exp(-np.mean(odds)))) if odds else None
