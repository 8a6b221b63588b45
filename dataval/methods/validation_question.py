"""What a method of a run is asked: about all validation samples at once, each of them, or groups."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array
from dataval.backend.layers import Blocks
from dataval.data import Samples
from dataval.methods.groups import Groups
from dataval.objectives.validation import ValidationObjective
from dataval.training.program import State

__all__ = ["ValidationQuestion"]

FloatArray = NDArray[np.float64]
Gradients = Callable[[], tuple[Array, Array]]


@dataclass(frozen=True)
class ValidationQuestion:
    """One question of `score`, `attribute` or ``attribute(groups=...)``.

    Attributes
    ----------
    validation : Samples
    is_of_each : bool
        Whether every sample, or every group, has values of its own.
    groups : Groups or None
    """

    validation: Samples
    is_of_each: bool = False
    groups: Groups | None = None

    def __len__(self) -> int:
        if not self.is_of_each:
            return 1
        return len(self.validation) if self.groups is None else len(self.groups)

    def key(self) -> Hashable:
        """Return what tells it from questions about other samples, or of another kind."""
        return self.validation.fingerprint(), self.is_of_each, self.groups and self.groups.key()

    def mean(self, values: FloatArray) -> FloatArray:
        """Return the values ``(N,)`` for all validation samples at once, from those that were asked for."""
        if not self.is_of_each:
            return values
        sizes = None if self.groups is None else [len(members) for members in self.groups.members]
        return np.asarray(np.average(values, axis=0, weights=sizes), dtype=np.float64)

    def gradients(
        self, objective: ValidationObjective, state: State, rows: NDArray[np.int64]
    ) -> tuple[Gradients, Callable[[], Blocks] | None]:
        """Return what finds the gradients of some samples, also by layer, or of the means of some groups."""
        if self.groups is None:
            found = objective.gradients, objective.layer_gradients
            return partial(found[0], state, rows), partial(found[1], state, rows)
        return partial(objective.mean_gradients, state, [self.groups.members[i] for i in rows]), None
