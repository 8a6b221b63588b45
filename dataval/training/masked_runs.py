"""Runs from the same start, with the same batches and random draws, in which some samples have weight 0."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.errors import TrainedModelWarning, TrainingDivergedError, TrainingInterrupted
from dataval.memory_plan import Need
from dataval.training.memory import kept_states_need
from dataval.training.recording import carry_out
from dataval.training.replay import Replay
from dataval.training.reweighted import begin_under

__all__ = ["MaskedRuns", "begin_without", "finish"]

Mask = NDArray[np.bool_]


def begin_without(plain: Replay, removed: Mask) -> Replay:
    """Return a run, still to be done, in which some samples of another one have weight 0.

    Parameters
    ----------
    plain : Replay
        A run whose updates can be done again.
    removed : ndarray of bool, shape (N,)
        Those samples.
    """
    return begin_under(plain, np.where(removed, 0.0, plain.run.weights))


def finish(replay: Replay, *, progress: bool | None = None) -> None:
    """Do the updates of such a run that are still to be done.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C; what was done stays in the run.
    TrainingDivergedError
        If it diverges, saying without how many samples.
    """
    if replay.run.is_complete:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainedModelWarning)  # the plain run has said so
            carry_out(replay.program, replay.run, progress=progress, what="training a masked run")
    except TrainingInterrupted:
        raise KeyboardInterrupt from None
    except TrainingDivergedError as error:
        n_out, n = int((replay.run.weights == 0).sum()), replay.run.n_samples
        raise TrainingDivergedError(f"a run with {n_out} of the {n} weights at 0: {error}") from error


class MaskedRuns:
    """Trains such runs when they are asked for, and keeps them as long as they fit together.

    All that are kept have the budget that the learner's `Checkpoints` give to one run. Others are trained again
    the next time: that costs no more than the replay between the few states that could be kept of each.

    Parameters
    ----------
    plain : Replay
        The run that they are like.
    """

    def __init__(self, plain: Replay) -> None:
        self._plain = plain
        self._runs: dict[bytes, Replay] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the runs behind: they can be trained again."""
        return self.__dict__ | {"_runs": {}}

    def needs(self, n_runs: int) -> list[Need]:
        """Return what the states of a run in hand take, and of those that are kept."""
        of_one = kept_states_need(
            begin_without(self._plain, np.zeros(self._plain.run.n_samples, dtype=bool)).run
        )
        n_bytes = min(self._plain.run.policy.max_bytes, n_runs * of_one.n_bytes)
        return [of_one, Need("the masked runs that are kept", n_bytes, of_one.cure)]

    def trained(self, removed: Mask, *, progress: bool | None = None) -> Replay:
        """Return the run without some samples ``(N,)``, trained; Ctrl-C keeps what was done of it."""
        name = np.packbits(removed).tobytes()
        replay = self._runs.setdefault(name, begin_without(self._plain, removed))
        finish(replay, progress=progress)
        if sum(_n_bytes(each) for each in self._runs.values()) > self._plain.run.policy.max_bytes:
            del self._runs[name]
        return replay


def _n_bytes(replay: Replay) -> int:
    return len(replay.run.checkpoints) * replay.run.state_bytes
