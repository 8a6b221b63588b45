"""Whether a training loss has hardly left its start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.training.replay import Replay
from dataval.training.run import TrainingRun
from dataval.training.trained_before import best_constant_loss

__all__ = ["plateau"]

_FEWEST = 20  # updates below which no training can have come far
_LATE = 0.1  # share of the updates that count as the end
_LEAST_FALL = 0.05  # of the start
_MOST_TARGETS = 2000  # that are read for the best constant prediction


def plateau(replay: Replay) -> str:
    """Say that the training loss has hardly left its start; nothing where it has, or can't be told.

    The mean loss over the last tenth of the updates is held against the best constant prediction's, or, for a
    loss of which that isn't known, against the first update's: it must have fallen by a twentieth.

    Parameters
    ----------
    replay : Replay
        A finished run of at least 20 updates; shorter ones are never named.
    """
    run = replay.run
    if run.n_steps < _FEWEST:
        return ""
    last = np.arange(run.n_steps - max(3, round(_LATE * run.n_steps)), run.n_steps)
    end, seen = _mean_loss(run, last)
    targets = replay.program.data.take(seen[:_MOST_TARGETS]).targets if len(seen) else None
    constant = best_constant_loss(run.loss, targets) if isinstance(targets, np.ndarray) else None
    start = _mean_loss(run, np.zeros(1, dtype=np.int64))[0] if constant is None else constant
    if not np.isfinite([start, end]).all() or end < (1 - _LEAST_FALL) * start or start <= 0:
        return ""
    what = "the first update had" if constant is None else "the best constant prediction has"
    return f"the training loss ended at {end:.3g}, and {what} {start:.3g}"


def _mean_loss(run: TrainingRun, steps: NDArray[np.int64]) -> tuple[float, NDArray[np.int64]]:
    """Return the mean loss of the samples of some updates, before each, and which samples these are."""
    losses, samples = [], []
    for step in steps.tolist():
        batch = run.plan.batch(step)
        found = run.losses[run.plan.epochs[step], batch]
        counts = (run.weights[batch] > 0) & np.isfinite(found)
        losses.append(found[counts])
        samples.append(batch[counts])
    every = np.concatenate(losses)
    return float(every.mean()) if len(every) else float("nan"), np.unique(np.concatenate(samples))
