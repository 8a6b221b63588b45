"""What was logged of every sample while somebody else trained."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dataval.errors import RunMismatchError
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["check_log", "mean_loss_values"]


def check_log(replay: Replay, method: str, name: Literal["losses", "margins"]) -> None:
    """Raise `RunMismatchError` if a run holds states alone, and not what a method needs of every epoch."""
    run = replay.run
    if run.origin == "states" and not len(getattr(run, name)):
        raise RunMismatchError(
            f"{method} needs every sample's {name} over the epochs, and the run holds states alone: pass "
            f"what was logged, TrainingRun.from_checkpoints(..., {name}=...) of shape (epochs, N), or "
            "take a run of learner.train(X, y)"
        )


def mean_loss_values(run: TrainingRun) -> NDArray[np.float64]:
    """Return minus every sample's mean loss over the epochs that saw it, shape ``(N,)``.

    NaN for those of weight 0 that took part and whose loss was never finite, 0 for those that no epoch saw.
    """
    losses = run.losses
    seen = np.isfinite(losses)
    total = np.where(seen, losses, 0.0).sum(axis=0)
    values = np.asarray(-total / np.maximum(1, seen.sum(axis=0)), dtype=np.float64)
    without_loss = np.setdiff1d(run.plan.order, np.flatnonzero(seen.any(axis=0)))
    values[without_loss] = np.nan
    return values
