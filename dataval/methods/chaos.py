"""What sweeps tell of how smooth training is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.errors import ChaoticTrainingWarning
from dataval.training.sweep import SweepResult

__all__ = ["CHAOTIC_GROWTH", "Swept", "joined", "report_growth"]

CHAOTIC_GROWTH = 1e3
_CALLERS = 6  # frames up to the caller of `score` or `attribute`


class Swept(Protocol):
    """What one sweep found, or several together."""

    @property
    def cotangent_norm(self) -> NDArray[np.float64]:
        """Norms ``(T + 1,)``, the largest of several sweeps."""

    @property
    def stopped_at(self) -> int:
        """The update at which a cotangent overflowed; -1 if none did."""


def joined(results: Sequence[SweepResult]) -> SweepResult:
    """Return the rows of several sweeps as one result, with the largest norms."""
    norms = np.max([result.cotangent_norm for result in results], axis=0)
    values = np.concatenate([result.values for result in results])
    return SweepResult(values, norms, max(result.stopped_at for result in results))


def report_growth(found: Swept, *, hessian: bool) -> dict[str, Any]:
    """Return ``"cotangent_norm"`` and ``"growth"`` for the diagnostics, and warn where training is chaotic.

    The growth is the largest norm relative to the last one, where sweeps start; infinite where one overflowed.
    """
    norms = found.cotangent_norm
    growth = float(np.nanmax(norms / norms[-1])) if 0 < norms[-1] < np.inf else 0.0
    if found.stopped_at >= 0:
        growth = float("inf")
        _warn(f"overflowed at update {found.stopped_at}, so the values are NaN", hessian)
    elif growth > CHAOTIC_GROWTH:
        _warn(f"grew by a factor of {growth:.1e}", hessian)
    return {"cotangent_norm": norms, "growth": growth}


def _warn(what: str, hessian: bool) -> None:
    help_ = "; for finding wrong labels use hessian=False" if hessian else ""
    warnings.warn(
        f"the cotangent {what} over the backward sweep: training is chaotic here, and no derivative "
        "predicts what retraining would do. A smaller learning rate, smooth activations (GELU), average "
        f"pooling or larger batches help{help_}. verify() shows how far the values can be trusted",
        ChaoticTrainingWarning,
        stacklevel=_CALLERS,
    )
