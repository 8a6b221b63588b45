"""Runs from the same start, with the same batches and random draws, under other sample weights."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dataval.errors import TrainedModelWarning
from dataval.training.recording import carry_out
from dataval.training.replay import Replay

__all__ = ["begin_under", "trained_under"]


def begin_under(replay: Replay, weights: NDArray[np.float64]) -> Replay:
    """Return a run like another one, still to be done, under other weights of the samples.

    Parameters
    ----------
    replay : Replay
        A run whose updates can be done again; it is left as it was.
    weights : ndarray of float64, shape (N,)
        Those of the new run, >= 0.
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
    return Replay(replay.program.with_weights(weights), run)


def trained_under(replay: Replay, weights: NDArray[np.float64], *, progress: bool | None = None) -> Replay:
    """Train as a run was trained, under other weights of the samples.

    Parameters
    ----------
    replay, weights
        As for `begin_under`.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    Replay
        The new run with its program.

    Raises
    ------
    TrainingDivergedError, TrainingInterrupted
        As `Learner.train`.
    """
    begun = begin_under(replay, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainedModelWarning)  # the first run has said so
        carry_out(begun.program, begun.run, progress=progress)
    return begun
