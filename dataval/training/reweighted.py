"""Runs from the same start, with the same batches and random draws, under other sample weights."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dataval.errors import TrainedModelWarning
from dataval.training.recording import carry_out
from dataval.training.replay import Replay

__all__ = ["trained_under"]


def trained_under(replay: Replay, weights: NDArray[np.float64], *, progress: bool | None = None) -> Replay:
    """Train as a run was trained, under other weights of the samples.

    Parameters
    ----------
    replay : Replay
        A run whose updates can be done again.
    weights : ndarray of float64, shape (N,)
        Those of the new run, >= 0.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    Replay
        The new run with its program; the other one is left as it was.

    Raises
    ------
    TrainingDivergedError, TrainingInterrupted
        As `Learner.train`.
    """
    run = replace(
        replay.run,
        weights=weights,
        losses=np.full_like(replay.run.losses, np.nan),
        checkpoints={0: replay.initial},
        n_completed=0,
        evidence=None,
        marks={},
    )
    program = replay.program.with_weights(weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainedModelWarning)  # the first run has said so
        carry_out(program, run, progress=progress)
    return Replay(program, run)
