"""The state of K models that are trained at once, in memory of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataval.backend.contract import Ensemble
from dataval.training.optimizers import Optimizer, Slots
from dataval_torch.batches import TorchBatches
from dataval_torch.derivatives.gradients import Named
from dataval_torch.together.dual_form import dual_gradients, find_dual_layer
from dataval_torch.together.fused_updates import FusedUpdates

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["TorchEnsemble"]


class TorchEnsemble(Ensemble):
    """Members in the rows of one array for each of the model's parameters, updated in place.

    Parameters
    ----------
    backend : TorchBackend
    parameters, slots, buffers, optimizer, batches, capacity
        As in `Backend.ensemble`.
    """

    def __init__(
        self,
        backend: TorchBackend,
        parameters: Tensor,
        slots: Slots,
        buffers: Tensor,
        optimizer: Optimizer,
        batches: TorchBatches,
        capacity: int,
    ) -> None:
        self._backend, self._layout, self._optimizer = backend, backend.model.layout, optimizer
        self._batches = batches
        self._dual = find_dual_layer(backend, parameters, slots, batches, optimizer, capacity)
        self._all_parameters = self._rows(parameters, capacity)
        self._all_slots = [self._rows(slot, capacity) for slot in slots]
        self._buffers = buffers[None]
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
        if self._dual is not None:
            self._dual.fork(size)
        self._hold(size)

    def step(
        self, samples: NDArray[np.int64], weights: Tensor, seed: int, learning_rate: float, step: int
    ) -> None:
        """Do one update of every member."""
        leaves = {name: array.detach().requires_grad_() for name, array in self._parameters.items()}
        batch = self._batches.take(samples)
        if self._dual is None:
            found = self._backend.ensemble_gradients(leaves, self._buffers, batch, weights, seed)
            _, self._buffers, *gradients = found
        else:
            rows = torch.from_numpy(np.ascontiguousarray(samples)).to(weights.device)
            known = self._dual.outputs(rows)
            errors, *gradients = dual_gradients(
                self._backend, self._dual.name, known, leaves, self._buffers, batch, weights, seed
            )
            self._dual.step(errors, rows, learning_rate, step)
        self._updates.step(gradients, learning_rate, step)

    def arrays(self) -> tuple[Tensor, Tensor]:
        """Return parameters and buffers with a leading axis."""
        parameters = dict(self._parameters)
        if self._dual is not None:
            parameters[self._dual.name] = self._dual.weights()
        pieces = [parameters[name] for name in self._layout.names]
        return self._layout.join(pieces, self._buffers), self._buffers

    def _rows(self, flat: Tensor, capacity: int) -> Named:
        """Return room for `capacity` rows of each parameter, with what it starts from in the first."""
        pieces = self._layout.named(flat)
        if self._dual is not None:
            del pieces[self._dual.name]
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
