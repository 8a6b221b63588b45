"""What sweeps tell of how smooth training is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.errors import ChaoticTrainingWarning
from dataval.training.replay import Replay
from dataval.training.stability import RunStability, run_stability
from dataval.training.sweep import SweepResult

__all__ = ["Swept", "joined", "report_growth"]

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


def report_growth(found: Swept, replay: Replay, *, is_exact: bool) -> dict[str, Any]:
    """Return what sweeps tell for the diagnostics, and warn where training is chaotic, naming the causes.

    The growth is the largest norm relative to the last one, where sweeps start; infinite where one overflowed.

    Parameters
    ----------
    found : Swept
        With the norms of one sweep, or the largest of several.
    replay : Replay
        The plain run.
    is_exact : bool
        Whether the sweeps were exact: what the run tells of its stability is then told as well.
    """
    norms = found.cotangent_norm
    growth = float(np.nanmax(norms / norms[-1])) if 0 < norms[-1] < np.inf else 0.0
    growth = float("inf") if found.stopped_at >= 0 else growth
    stability = run_stability(replay, growth)
    if found.stopped_at >= 0:
        _warn(f"overflowed at update {found.stopped_at}, so the values are NaN", stability, is_exact)
    elif stability.is_chaotic:
        _warn(f"grew by a factor of {growth:.1e}", stability, is_exact)
    reported: dict[str, Any] = {"cotangent_norm": norms, "growth": growth}
    return reported | ({"stability": stability} if is_exact else {})


def _warn(what: str, stability: RunStability, is_exact: bool) -> None:
    help_ = "; for finding wrong labels use hessian=False" if is_exact else ""
    causes = f" Of this run: {'. '.join(stability.risks)}." if stability.risks else ""
    warnings.warn(
        f"the cotangent {what} over the backward sweep: training is chaotic here, and no derivative "
        "predicts what retraining would do. A smaller learning rate, smooth activations (GELU), average "
        f"pooling or larger batches help{help_}.{causes} verify() shows how far the values can be trusted",
        ChaoticTrainingWarning,
        stacklevel=_CALLERS,
    )
