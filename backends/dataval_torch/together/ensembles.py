"""The state of K models that are trained at once, in memory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataval.backend import Backend, Batches
from dataval.retraining.ensemble import Ensemble
from dataval.training.config import Training
from dataval.training.optimizers import Optimizer
from dataval.training.program import State
from dataval_torch.batches import TorchBatches
from dataval_torch.derivatives.gradients import Named
from dataval_torch.derivatives.loss import TorchLoss
from dataval_torch.together.fused_updates import FusedUpdates

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["TorchEnsemble", "make_ensemble"]


def make_ensemble(
    backend: Backend, training: Training, start: State, batches: Batches, capacity: int
) -> TorchEnsemble | None:
    """Return an ensemble that PyTorch's fused optimizer updates, where there is one."""
    own = cast("TorchBackend", backend)
    if training.clip_norm is not None or not FusedUpdates.can_do(training.optimizer, own.model.device):
        return None
    return TorchEnsemble(own.loss, training.optimizer, start, cast("TorchBatches", batches), capacity)


class TorchEnsemble(Ensemble):
    """Members in the rows of one array for each of the model's parameters, updated in place.

    Parameters
    ----------
    loss : TorchLoss
    optimizer : Optimizer
        One that `FusedUpdates` can do.
    start : State
        What every member starts from.
    batches : TorchBatches
        The training samples.
    capacity : int
        How many members there may be.
    """

    def __init__(
        self, loss: TorchLoss, optimizer: Optimizer, start: State, batches: TorchBatches, capacity: int
    ) -> None:
        self._loss, self._layout, self._optimizer = loss, loss.model.layout, optimizer
        self._batches = batches
        self._all_parameters = self._rows(start.parameters, capacity)
        self._all_slots = [self._rows(slot, capacity) for slot in start.slots]
        self._buffers = start.buffers[None]
        self._hold(1)

    @property
    def size(self) -> int:
        """Members that have parted, and the first."""
        return self._size

    def fork(self, size: int) -> None:
        """Copy the first member."""
        new = size - self._size
        if new <= 0:
            return
        for arrays in (self._all_parameters, *self._all_slots):
            for array in arrays.values():
                array[self._size : size] = array[0]
        self._buffers = torch.cat([self._buffers, self._buffers[:1].expand(new, -1)])
        self._hold(size)

    def step(
        self, samples: NDArray[np.int64], weights: Tensor, seed: int, learning_rate: float, step: int
    ) -> None:
        """Do one update of every member."""
        leaves = {name: array.detach().requires_grad_() for name, array in self._parameters.items()}
        batch = self._batches.take(samples)
        _, self._buffers, *gradients = self._loss.gradients_together(
            leaves, self._buffers, batch, weights, seed
        )
        self._updates.step(gradients, learning_rate, step)

    def arrays(self) -> tuple[Tensor, Tensor]:
        """Return parameters and buffers with a leading axis."""
        pieces = [self._parameters[name] for name in self._layout.names]
        return self._layout.join(pieces, self._buffers), self._buffers

    def _rows(self, flat: Tensor, capacity: int) -> Named:
        """Return room for `capacity` rows of each parameter, with what it starts from in the first."""
        pieces = self._layout.named(flat)
        arrays = {name: piece.new_empty((capacity, *piece.shape)) for name, piece in pieces.items()}
        for name, piece in pieces.items():
            arrays[name][0] = piece
        return arrays

    def _hold(self, size: int) -> None:
        """Work on the first rows from now on."""
        self._size = size
        self._parameters = self._held(self._all_parameters)
        slots = [self._held(slot) for slot in self._all_slots]
        of_each = [[slot[name] for slot in slots] for name in self._parameters]
        self._updates = FusedUpdates(self._optimizer, list(self._parameters.values()), of_each)

    def _held(self, arrays: Named) -> Named:
        return {name: array[: self._size] for name, array in arrays.items()}
