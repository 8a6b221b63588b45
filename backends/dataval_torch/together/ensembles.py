"""The state of K models that are trained at once, in memory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from dataval.retraining.ensemble import Ensemble
from dataval.training.optimizers import Optimizer
from dataval.training.program import Program, State
from dataval_torch.derivatives.gradients import Named
from dataval_torch.derivatives.loss import TorchLoss
from dataval_torch.together.fused_updates import FusedUpdates

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["TorchEnsemble", "make_ensemble"]


def make_ensemble(program: Program, start: State, capacity: int) -> TorchEnsemble | None:
    """Return an ensemble that PyTorch's fused optimizer updates, where there is one that does the program's."""
    own, training, plan = cast("TorchBackend", program.backend), program.training, program.plan
    is_plain = plan.hyperparameters.are_constants_of(training.optimizer) and not plan.is_accumulated
    if not is_plain or training.clip_norm is not None:
        return None
    if not FusedUpdates.can_do(training.optimizer, own.model.device):
        return None
    return TorchEnsemble(own.loss, training.optimizer, start, capacity)


class TorchEnsemble(Ensemble):
    """Members in the rows of one array for each of the model's parameters, updated in place.

    Parameters
    ----------
    loss : TorchLoss
    optimizer : Optimizer
        One that `FusedUpdates` can do.
    start : State
        What every member starts from.
    capacity : int
        How many members there may be.
    """

    def __init__(self, loss: TorchLoss, optimizer: Optimizer, start: State, capacity: int) -> None:
        self._loss, self._layout, self._optimizer = loss, loss.model.layout, optimizer
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

    def step(self, program: Program, step: int) -> None:
        """Do one update of every member."""
        passes, rate = program.passes, program.plan.hyperparameters.values["learning_rate"][step, 0]
        weights = passes.scaled_weights(step)[: self._size]
        leaves = {name: array.detach().requires_grad_() for name, array in self._parameters.items()}
        _, self._buffers, *gradients = self._loss.gradients_together(
            leaves, self._buffers, passes.batch(step), weights, passes.seed(step)
        )
        self._updates.step(gradients, float(rate), step)

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
