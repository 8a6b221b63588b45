"""K models trained together with what every backend has: batched gradients and the optimizer's arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.backend.contract import Array, Backend, Batches, Ensemble
from dataval.training.config import Training
from dataval.training.optimizers import Slots, clip_by_norm

__all__ = ["PlainEnsemble"]


class PlainEnsemble(Ensemble):
    """All members from the first update on, as arrays with a leading axis.

    Parameters
    ----------
    backend : Backend
    training : Training
    parameters : array, shape (P,)
    slots : tuple of array, shape (P,)
    buffers : array, shape (S,)
        What every member starts from.
    batches : Batches
        The training samples.
    capacity : int
        How many members there are.
    """

    def __init__(
        self,
        backend: Backend,
        training: Training,
        parameters: Array,
        slots: Slots,
        buffers: Array,
        batches: Batches,
        capacity: int,
    ) -> None:
        self._backend, self._training, self._batches = backend, training, batches
        self._parameters, self._buffers = self._repeat(parameters, capacity), self._repeat(buffers, capacity)
        self._slots = tuple(self._repeat(slot, capacity) for slot in slots)
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
        _, gradient, self._buffers = self._backend.ensemble_gradient(
            self._parameters, self._buffers, batch, weights, seed
        )
        if self._training.clip_norm is not None:
            gradient = clip_by_norm(gradient, self._training.clip_norm, self._backend)
        self._parameters, self._slots = self._training.optimizer.update(
            self._parameters, self._slots, gradient, learning_rate, step
        )

    def arrays(self) -> tuple[Array, Array]:
        """Return parameters and buffers with a leading axis."""
        return self._parameters, self._buffers

    def _repeat(self, array: Array, times: int) -> Array:
        return self._backend.from_numpy(np.repeat(self._backend.to_numpy(array)[None], times, axis=0))
