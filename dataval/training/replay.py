"""Walking through a recorded run, forward or backward, recomputing what was not kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from dataval.backend.registry import framework_settings
from dataval.errors import ReplayError, ReplayWarning, RunMismatchError
from dataval.training.checkpoints import reverse_walk
from dataval.training.program import Program, State
from dataval.training.run import TrainingRun

__all__ = ["Replay"]

_ROUNDING = 1e-3  # relative; deviations beyond it can't come from another order of summation


class Replay:
    """A run joined with the program that makes it; the walks through it need the run to be done.

    Parameters
    ----------
    program : Program
    run : TrainingRun
        A run of `program`.
    """

    def __init__(self, program: Program, run: TrainingRun) -> None:
        self.program = program
        self.run = run
        self._is_checked = False

    def check_complete(self) -> None:
        """Raise `RunMismatchError` if the run was interrupted and never finished."""
        run = self.run
        if not run.is_complete:
            raise RunMismatchError(
                f"the run was interrupted after {run.n_completed} of {run.n_steps} updates: finish it with "
                "learner.train(X, y, resume=run)"
            )

    def check_start(self) -> None:
        """Raise `RunMismatchError` if the first losses are not what was recorded: another model or loss."""
        run = self.run
        if run.n_completed == 0:
            return
        batch = run.plan.batch(0)
        recorded = run.losses[0, batch]
        found = self.program.backend.arrays.to_numpy(self.program.losses(self.initial, 0))
        if not np.abs(found - recorded).max() <= _ROUNDING * np.abs(recorded).max():
            raise RunMismatchError(
                f"the run was recorded with another model or loss: sample {batch[0]} had a loss of "
                f"{recorded[0]:.6g} in the first batch, now it has {found[0]:.6g} (or the model draws random "
                "numbers that no seed controls)"
            )

    @property
    def initial(self) -> State:
        """The state before the first update."""
        return self.program.load(self.run.checkpoints[0])

    @property
    def final(self) -> State:
        """The state after the last update."""
        return self.program.load(self.run.final)

    @framework_settings()
    def export(self) -> Any:
        """Return a copy of the model with the final parameters, in evaluation mode."""
        final = self.final
        return self.program.backend.export(final.parameters, final.buffers)

    @framework_settings()
    def at(self, step: int) -> State:
        """Return the state before update number `step`; step T is the end of the run."""
        start = max(kept for kept in self.run.checkpoints if kept <= step)
        state = self.program.load(self.run.checkpoints[start])
        for between in range(start, step):
            state = self._advance(state, between)
        return state

    def forward(self) -> Iterator[tuple[int, State]]:
        """Yield ``(t, state before update t)`` for every update in order."""
        for start, stop in self._segments():
            state = self.program.load(self.run.checkpoints[start])
            for step in range(start, stop):
                yield step, state
                if step + 1 < stop or self._wants_check(start, stop):
                    state = self._advance(state, step)
            self._check(state, start, stop)

    def backward(self) -> Iterator[tuple[int, State]]:
        """Yield ``(t, state before update t)`` for every update, the last one first."""
        n_held = self.run.policy.workspace(self.run.state_bytes)
        for start, stop in reversed(self._segments()):
            state = self.program.load(self.run.checkpoints[start])
            for step, current in reverse_walk(start, stop, state, self._advance, n_held):
                if step == stop - 1 and self._wants_check(start, stop):
                    self._check(self._advance(current, step), start, stop)
                yield step, current

    def _segments(self) -> list[tuple[int, int]]:
        kept = sorted(self.run.checkpoints)
        return list(pairwise(kept))

    def _advance(self, state: State, step: int) -> State:
        return self.program.step(state, step)[0]

    def _wants_check(self, start: int, stop: int) -> bool:
        return not self._is_checked and stop - start > 1

    def _check(self, state: State, start: int, stop: int) -> None:
        """Compare the end of the first replayed stretch with the state that was recorded there."""
        if not self._wants_check(start, stop):
            return
        self._is_checked = True
        to_numpy = self.program.backend.arrays.to_numpy
        recorded = to_numpy(self.program.load(self.run.checkpoints[stop]).parameters)
        difference = np.abs(to_numpy(state.parameters) - recorded).max()
        if difference == 0:
            return
        relative = difference / max(np.abs(recorded).max(), np.finfo(recorded.dtype).tiny)
        if not relative < _ROUNDING:
            raise ReplayError(
                f"replaying updates {start} to {stop} gives parameters that differ from the recorded "
                f"ones by {relative:.1e} (relative): the model draws random numbers that no seed controls, "
                "or its loss has changed since"
            )
        warnings.warn(
            f"the replay differs from the recorded run by {relative:.1e} (relative): it was recorded with "
            f"{self.run.environment}, now it is {self.program.backend.environment}",
            ReplayWarning,
            stacklevel=4,
        )
