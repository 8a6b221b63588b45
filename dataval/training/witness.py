"""Which updates of a loop are done again while it is recorded, and what they show."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from dataval.backend import Array
from dataval.errors import RecordingWarning
from dataval.training.program import State
from dataval.training.prover import Observed, Prover
from dataval.training.tape import NotedPass, Setting, Tape

__all__ = ["Witness"]

_of_any_size = np.errstate(over="ignore", invalid="ignore")  # loops diverge, which is told by what follows

_N_FIRST = 3  # updates at the start that are proved
_N_OF_KIND = 2  # updates of each kind that are


class Witness:
    """Has updates proved, and notes on the tape what stands in the way of doing the loop again.

    Parameters
    ----------
    tape : Tape
    prover : Prover
    share : float
        Of the updates that are proved at random.
    rng : numpy.random.Generator
        Draws them.
    """

    def __init__(self, tape: Tape, prover: Prover, share: float, rng: np.random.Generator) -> None:
        self._tape, self._prover, self._share, self._rng = tape, prover, share, rng
        self._kinds: Counter[Hashable] = Counter()
        self._epoch = -1

    def is_due(self, kind: Hashable, epoch: int) -> bool:
        """Say whether the next update is to be proved: early ones, an epoch's first, new kinds, some at random.

        Parameters
        ----------
        kind
            What tells it from others: the sizes of its passes.
        epoch : int
            Its epoch.
        """
        self._kinds[kind] += 1
        is_new_epoch, self._epoch = epoch != self._epoch, epoch
        is_drawn = bool(self._rng.random() < self._share)
        is_early = self._tape.n_updates < _N_FIRST or self._kinds[kind] <= _N_OF_KIND
        return not self._tape.notes and (is_early or is_new_epoch or is_drawn)

    @_of_any_size
    def add_update(self, passes: Sequence[NotedPass], setting: Setting, epoch: int, state: State) -> bool:
        """Note an update on the tape; warn and return False where it isn't finite: the run ends before it."""
        was_open = self._tape.end is None
        is_noted = self._tape.add_update(passes, setting, epoch, state)
        if was_open and not is_noted:
            self._warn(f"{self._tape.end}. Nothing from there on is recorded")
        return is_noted

    @_of_any_size
    def prove(self, seen: Observed) -> None:
        """Do the tape's last update again."""
        found = self._prover.prove(seen)
        if isinstance(found, str):
            self.note(found)
        else:
            self._tape.prove(found)

    def note(self, problem: str) -> None:
        """Note what stands in the way; the first is warned of, as what follows from one cause is no other."""
        is_first = not self._tape.notes
        if self._tape.note(problem) and is_first:
            self._warn(
                f"this loop can't be done again, values that need its updates will be refused: {problem}"
            )

    @_of_any_size
    def note_change(self, before: Array, now: Array) -> None:
        """Note that parameters were changed between two updates by something else than the optimizer."""
        if self._tape.end is None:
            self.note(self._prover.explain_change(before, now, self._tape.n_updates))

    def _warn(self, message: str) -> None:
        warnings.warn(message, RecordingWarning, stacklevel=6)
