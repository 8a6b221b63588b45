"""K models that are trained together, each under weights of its own, on the same batches."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from dataval.backend import Array, Arrays
from dataval.backend.registry import load_extension
from dataval.training.program import Program, State

__all__ = ["Ensemble", "PlainEnsemble", "make_ensemble"]

_GROUP = "dataval.ensembles"


class Ensemble(ABC):
    """K models on their way through the same updates.

    Members that have had the same weights so far are the same model, so an ensemble may start with the first
    member alone and copy it when the others part from it.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """How many members the next `step` expects weights for."""

    @abstractmethod
    def fork(self, size: int) -> None:
        """Have at least `size` members from now on; new ones are copies of the first."""

    @abstractmethod
    def step(self, program: Program, step: int) -> None:
        """Do update number `step` of a program, whose weights ``(K, N)`` are in the order of the members."""

    @abstractmethod
    def arrays(self) -> tuple[Array, Array]:
        """Return parameters ``(size, P)`` and buffers ``(size, S)``."""


class PlainEnsemble(Ensemble):
    """All members from the first update on, as arrays with a leading axis: what every backend can do.

    Parameters
    ----------
    arrays : Arrays
    start : State
        What every member starts from.
    capacity : int
        How many members there are.
    """

    def __init__(self, arrays: Arrays, start: State, capacity: int) -> None:
        def repeat(array: Array) -> Array:
            return arrays.from_numpy(np.repeat(arrays.to_numpy(array)[None], capacity, axis=0))

        self._state = State(repeat(start.parameters), tuple(map(repeat, start.slots)), repeat(start.buffers))
        self._size = capacity

    @property
    def size(self) -> int:
        """The capacity: members that have not parted yet do the same work several times."""
        return self._size

    def fork(self, size: int) -> None:
        """Do nothing: all members are there."""

    def step(self, program: Program, step: int) -> None:
        """Do one update of every member."""
        self._state, _ = program.step(self._state, step)

    def arrays(self) -> tuple[Array, Array]:
        """Return parameters and buffers with a leading axis."""
        return self._state.parameters, self._state.buffers


def make_ensemble(program: Program, start: State, capacity: int) -> Ensemble:
    """Return an ensemble of up to `capacity` members that start from one state.

    A framework that does it faster says so by an entry point of the group ``dataval.ensembles`` under the
    backend's name: a function of (program, start, capacity) that returns an ensemble, or None for what it
    doesn't do faster.
    """
    make = load_extension(_GROUP, program.backend.name)
    fast: Ensemble | None = None if make is None else make(program, start, capacity)
    return fast or PlainEnsemble(program.backend.arrays, start, capacity)
