"""Carrying a program out and recording it."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array
from dataval.errors import TrainingInterrupted
from dataval.progress import progress_bar
from dataval.training.faults import diverged, is_finite, spoilt_samples
from dataval.training.memory import check_training
from dataval.training.program import Program, State
from dataval.training.run import TrainingRun
from dataval.training.trained_before import warn_trained_before

__all__ = ["carry_out"]

_CALLERS = 4  # frames up to the caller of `Learner.train`, through the one that sets the framework's modes
_FLUSH_EVERY = 64  # reading a loss back waits for the accelerator, so it is done for many updates at a time


def carry_out(program: Program, run: TrainingRun, *, progress: bool | None, what: str = "training") -> None:
    """Do the updates of `run` that are still to be done, adding to it; `what` names them on the bar.

    Raises
    ------
    TrainingInterrupted
        On Ctrl-C; `run` can be taken up again.
    InsufficientMemoryError
        Before anything, if what is to be kept can't fit.
    TrainingDivergedError
        If a loss of a sample with a weight is not finite, or the last state isn't; it says which sample is to
        blame, where one is.
    """
    check_training(program, run)
    log = _LossLog(program, run)
    interval = run.policy.interval(run.n_steps, run.state_bytes)
    first, state = run.n_completed, program.load(run.final)
    with progress_bar(what, run.n_steps, progress, initial=first) as bar:
        try:
            for step in range(first, run.n_steps):
                state, losses = program.step(state, step)
                log.add(step, losses)
                if step == 0:
                    warn_trained_before(program, program.backend.arrays.to_numpy(losses), run.loss, _CALLERS)
                _keep(run, step + 1, state, interval)
                bar.update()
        except KeyboardInterrupt:
            log.flush()
            raise TrainingInterrupted(run) from None
    log.flush()
    final = program.load(run.final)
    if not is_finite(program.backend.arrays, final.parameters, final.buffers):
        raise diverged(program, run, run.n_steps)


def _keep(run: TrainingRun, step: int, state: State, interval: int) -> None:
    """Record the state after an update; the last one always, earlier ones as the policy says."""
    previous = run.n_completed
    run.checkpoints[step] = state
    run.n_completed = step
    if previous % interval:
        del run.checkpoints[previous]


class _LossLog:
    """Writes per-sample losses into `run.losses` some updates late."""

    def __init__(self, program: Program, run: TrainingRun) -> None:
        self._program, self._run = program, run
        self._pending: deque[tuple[int, Array]] = deque()

    def add(self, step: int, losses: Array) -> None:
        self._pending.append((step, losses))
        if len(self._pending) >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        while self._pending:
            step, losses = self._pending.popleft()
            self._write(step, self._program.backend.arrays.to_numpy(losses))

    def _write(self, step: int, losses: NDArray[np.floating]) -> None:
        plan = self._run.plan
        if len(spoilt_samples(losses, plan.batch(step), self._run.weights)):
            raise diverged(self._program, self._run, step)
        self._run.losses[plan.epochs[step], plan.batch(step)] = losses
