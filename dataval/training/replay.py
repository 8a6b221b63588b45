"""Walking through a recorded run, forward or backward, recomputing what was not kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.registry import framework_settings
from dataval.errors import ReplayError, ReplayWarning, RunMismatchError
from dataval.training.checkpoints import reverse_walk
from dataval.training.program import Program, State
from dataval.training.proof import Proof
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
        self._is_checked = self._is_compared = self._has_warned = False
        self._proof = None if run.evidence is None else Proof(program, run, run.evidence)

    def check_complete(self) -> None:
        """Raise `RunMismatchError` if the run was interrupted and never finished."""
        run = self.run
        if not run.is_complete:
            raise RunMismatchError(
                f"the run was interrupted after {run.n_completed} of {run.n_steps} updates: finish it with "
                "learner.train(X, y, resume=run)"
            )

    def check_updates(self, asked_by: str = "what is asked") -> None:
        """Raise `RunMismatchError` if the run's updates can't be done again, with the reason.

        Parameters
        ----------
        asked_by : str
            Names in the message what needs them.
        """
        run = self.run
        if run.origin == "states":
            raise RunMismatchError(
                f"{asked_by} needs the start and every update of a training, and the run holds states of one "
                "alone: InfluenceFunction, TracIn at checkpoints, GraNd and EL2N need no more. For "
                f"{asked_by} take a run of learner.train(X, y), or of a recorded loop"
            )
        if run.evidence is not None and run.evidence.notes:
            raise RunMismatchError(
                "the recorded loop can't be done again, so that only methods of states work "
                f"(InfluenceFunction, TracIn at checkpoints, GraNd, EL2N): {'; '.join(run.evidence.notes)}"
            )

    def check_recording(self) -> None:
        """Do a few updates again, once: the first, a middle and the last one whose states are kept.

        Raises
        ------
        RunMismatchError
            If the first losses are not what was recorded: another model or loss.
        ReplayError
            If losses or the next states differ later.
        """
        if self._is_compared or not self.run.has_updates:
            return
        self._is_compared = True
        kept = [step for step in sorted(self.run.checkpoints) if step < self.run.n_completed]
        for step in sorted({kept[0], kept[len(kept) // 2], kept[-1]}) if kept else []:
            before = self.program.load(self.run.checkpoints[step])
            state, losses = self.program.step(before, step)
            if self._proof is not None:
                self._proof.check(step, before, state)
                continue
            self._check_losses(self.program.backend.arrays.to_numpy(losses), step)
            if step + 1 in self.run.checkpoints:
                self._compare(state, step, step + 1)

    def _check_losses(self, found: NDArray[Any], step: int) -> None:
        """Compare losses with those recorded, relative to them or the first ones, whichever are larger."""
        batch, first, plan = self.run.plan.batch(step), self.run.plan.batch(0), self.run.plan
        recorded = self.run.losses[plan.epochs[step], batch]
        scale = np.nanmax([*np.abs(recorded), *np.abs(self.run.losses[0, first])])
        is_same = (np.abs(found - recorded) <= _ROUNDING * scale) | ~(
            np.isfinite(found) | np.isfinite(recorded)
        )
        if is_same.all():
            return
        at = int(np.argmin(is_same))
        difference = f"sample {batch[at]} had a loss of {recorded[at]:.6g}, now it has {found[at]:.6g}"
        if step == 0:
            raise RunMismatchError(
                f"the run was recorded with another model or loss: in the first batch, {difference} (or the "
                "model draws random numbers that no seed controls)"
            )
        raise ReplayError(
            f"replaying update {step} gives losses that differ from the recorded ones by more than rounding: "
            f"{difference}: the model draws random numbers that no seed controls, or its loss has changed since"
        )

    @property
    def initial(self) -> State:
        """The state before the first update."""
        if self.run.origin == "states":
            self.check_updates()
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
        if step in self.run.checkpoints:
            return self.program.load(self.run.checkpoints[step])
        self.check_updates()
        self.check_recording()
        start = max(kept for kept in self.run.checkpoints if kept <= step)
        state = self.program.load(self.run.checkpoints[start])
        for between in range(start, step):
            state = self._advance(state, between)
        return state

    def forward(self, first: int = 0) -> Iterator[tuple[int, State]]:
        """Yield ``(t, state before update t)`` for every update in order, from number `first`."""
        self.check_updates()
        self.check_recording()
        for start, stop in self._segments():
            if stop <= first:
                continue
            state = self.program.load(self.run.checkpoints[start]) if start >= first else self.at(first)
            for step in range(max(start, first), stop):
                yield step, state
                if step + 1 < stop or self._wants_check(start, stop):
                    state = self._advance(state, step)
                else:
                    self._prove(step, state)
            self._check(state, start, stop)

    def backward(self, before: int | None = None) -> Iterator[tuple[int, State]]:
        """Yield ``(t, state before update t)`` for every update below `before` (all by default), last first."""
        self.check_updates()
        self.check_recording()
        n_held = self.run.policy.workspace(self.run.state_bytes)
        for start, stop in reversed(self._segments()):
            end = stop if before is None else min(stop, before)
            if end <= start:
                continue
            state = self.program.load(self.run.checkpoints[start])
            for step, current in reverse_walk(start, end, state, self._advance, n_held):
                if step == stop - 1 and self._wants_check(start, stop):
                    self._check(self._advance(current, step), start, stop)
                self._prove(step, current)
                yield step, current

    def _segments(self) -> list[tuple[int, int]]:
        kept = sorted(self.run.checkpoints)
        return list(pairwise(kept))

    def _advance(self, state: State, step: int) -> State:
        self.check_updates()
        after = self.program.step(state, step)[0]
        if self._proof is not None:
            self._proof.check(step, state, after)
        return after

    def _prove(self, step: int, state: State) -> None:
        """Do an update again that was recorded in somebody else's loop, unless that was done before."""
        if self._proof is not None and not self._proof.is_proved(step):
            self._advance(state, step)

    def _wants_check(self, start: int, stop: int) -> bool:
        return not self._is_checked and stop - start > 1

    def _check(self, state: State, start: int, stop: int) -> None:
        """Compare the end of the first replayed stretch with the state that was recorded there."""
        if not self._wants_check(start, stop):
            return
        self._is_checked = True
        self._compare(state, start, stop)

    def _compare(self, state: State, start: int, stop: int) -> None:
        """Compare a state after replayed updates with the recorded one."""
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
        if self._has_warned or self._proof is not None:
            return
        self._has_warned = True
        warnings.warn(
            f"the replay differs from the recorded run by {relative:.1e} (relative): it was recorded with "
            f"{self.run.environment}, now it is {self.program.backend.environment}",
            ReplayWarning,
            stacklevel=4,
        )
