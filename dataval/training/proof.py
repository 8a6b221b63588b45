"""Holding the replay of a recorded loop against what the recording knows of each update."""

from __future__ import annotations

import numpy as np

from dataval.errors import ReplayError
from dataval.training.evidence import Evidence, norm_of, projections_of
from dataval.training.program import Program, State
from dataval.training.run import TrainingRun

__all__ = ["Proof"]

_OF_A_STEP = 1e-4  # of the update's own length; wrong settings deviate by 1e-3 and more
_ROUNDINGS = 100.0


class Proof:
    """Compares each update that is done again with the one that was recorded.

    Parameters
    ----------
    program : Program
        The replay's.
    run : TrainingRun
        A recorded one.
    evidence : Evidence
        Its own; what is proved is noted there.
    """

    def __init__(self, program: Program, run: TrainingRun, evidence: Evidence) -> None:
        self._run, self._evidence = run, evidence
        arrays = program.backend.arrays
        self._to_numpy = arrays.to_numpy
        self._precision = float(np.finfo(arrays.dtype).eps)

    def is_proved(self, step: int) -> bool:
        """Whether the update gave what was recorded once."""
        return not np.isnan(self._evidence.deviations[step])

    def check(self, step: int, before: State, after: State) -> None:
        """Raise unless an update that was done again gives what was recorded.

        Raises
        ------
        ReplayError
            If it gave other parameters.
        """
        old, new = self._to_numpy(before.parameters), self._to_numpy(after.parameters)
        if old.ndim > 1:
            return
        found, recorded = projections_of(new), self._evidence.projections[step + 1]
        length, size = norm_of(new - old), norm_of(new)
        missed = float(np.abs(found - recorded).max())
        share = missed / length if length else float(missed > 0)
        if not missed <= self._tolerance(step, length, size):
            raise ReplayError(
                f"update {step} of the recorded loop, done again, gives other parameters: off by "
                f"{share:.1e} of the update's length. The model, the loss or the data differ from the "
                "loop's, or the loop does what the recorder didn't see"
            )
        self._evidence.deviations[step] = share

    def _tolerance(self, step: int, length: float, size: float) -> float:
        """Return by how much projections may differ: rounding adds up since the last state that was kept."""
        start = max(kept for kept in self._run.checkpoints if kept <= step)
        n_steps = step + 1 - start
        return n_steps * (_OF_A_STEP * length + _ROUNDINGS * self._precision * size)
