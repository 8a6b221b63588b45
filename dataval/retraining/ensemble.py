"""K models that are trained together, each under weights of its own, on the same batches."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend, Batches
from dataval.backend.registry import load_extension
from dataval.training.config import Training
from dataval.training.optimizers import clip_by_norm
from dataval.training.program import Program, State

__all__ = ["Ensemble", "PlainEnsemble", "advance", "make_ensemble"]

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
    def step(
        self, samples: NDArray[np.int64], weights: Array, seed: int, learning_rate: float, step: int
    ) -> None:
        """Do update number `step` of every member.

        Parameters
        ----------
        samples : ndarray of int64, shape (n,)
            The batch.
        weights : array, shape (size, n)
            Of the batch's samples, for each member.
        seed : int
            Of the random draws.
        learning_rate : float
            Of this update.
        step : int
            Its number, from 0.
        """

    @abstractmethod
    def arrays(self) -> tuple[Array, Array]:
        """Return parameters ``(size, P)`` and buffers ``(size, S)``."""


class PlainEnsemble(Ensemble):
    """All members from the first update on, as arrays with a leading axis: what every backend can do.

    Parameters
    ----------
    backend : Backend
    training : Training
    start : State
        What every member starts from.
    batches : Batches
        The training samples.
    capacity : int
        How many members there are.
    """

    def __init__(
        self, backend: Backend, training: Training, start: State, batches: Batches, capacity: int
    ) -> None:
        self._backend, self._training, self._batches = backend, training, batches
        self._parameters = self._repeat(start.parameters, capacity)
        self._buffers = self._repeat(start.buffers, capacity)
        self._slots = tuple(self._repeat(slot, capacity) for slot in start.slots)
        self._size = capacity

    @property
    def size(self) -> int:
        """The capacity: members that have not parted yet do the same work several times."""
        return self._size

    def fork(self, size: int) -> None:
        """Do nothing: all members are there."""

    def step(
        self, samples: NDArray[np.int64], weights: Array, seed: int, learning_rate: float, step: int
    ) -> None:
        """Do one update of every member."""
        batch = self._batches.take(samples)
        _, gradient, self._buffers = self._backend.loss.gradient(
            self._parameters, self._buffers, batch, weights, seed
        )
        if self._training.clip_norm is not None:
            gradient = clip_by_norm(gradient, self._training.clip_norm, self._backend.arrays)
        self._parameters, self._slots = self._training.optimizer.update(
            self._parameters, self._slots, gradient, learning_rate, step
        )

    def arrays(self) -> tuple[Array, Array]:
        """Return parameters and buffers with a leading axis."""
        return self._parameters, self._buffers

    def _repeat(self, array: Array, times: int) -> Array:
        arrays = self._backend.arrays
        return arrays.from_numpy(np.repeat(arrays.to_numpy(array)[None], times, axis=0))


def make_ensemble(program: Program, start: State, capacity: int) -> Ensemble:
    """Return an ensemble of up to `capacity` members that start from one state.

    A framework that does it faster says so by an entry point of the group ``dataval.ensembles`` under the
    backend's name: a function of (backend, training, start, batches, capacity) that returns an ensemble, or
    None for what it doesn't do faster.
    """
    arguments = program.backend, program.training, start, program.batches, capacity
    make = load_extension(_GROUP, program.backend.name)
    fast: Ensemble | None = None if make is None else make(*arguments)
    return fast or PlainEnsemble(*arguments)


def advance(ensemble: Ensemble, program: Program, step: int) -> None:
    """Do update number `step` of a program, whose weights ``(K, N)`` are in the order of the members."""
    weights = program.scaled_weights(step)[: ensemble.size]
    ensemble.step(program.plan.batch(step), weights, program.seed(step), program.rate(step), step)
