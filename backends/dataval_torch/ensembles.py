"""Training K models at once: their gradients, and their state in memory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import vmap

from dataval.backend import Ensemble
from dataval.optimizers import Optimizer, Slots
from dataval_torch.batches import Batch
from dataval_torch.folding import FoldedLayers
from dataval_torch.fused_updates import FusedUpdates
from dataval_torch.gradients import Named, quiet_vmap

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["TorchEnsemble", "gradients_one_by_one", "outputs_one_by_one", "vmapped_gradients", "vmapped_outputs"]


class TorchEnsemble(Ensemble):
    """Members in the rows of one array for each of the model's parameters, updated in place.

    Parameters
    ----------
    backend : TorchBackend
    parameters, slots, buffers, optimizer, capacity
        As in `Backend.ensemble`.
    """

    def __init__(
        self,
        backend: TorchBackend,
        parameters: Tensor,
        slots: Slots,
        buffers: Tensor,
        optimizer: Optimizer,
        capacity: int,
    ) -> None:
        self._backend, self._layout, self._optimizer = backend, backend.model.layout, optimizer
        self._all_parameters = _rows(self._layout.split(parameters), capacity)
        self._all_slots = [_rows(self._layout.split(slot), capacity) for slot in slots]
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
        for array in [*self._all_parameters, *(array for slot in self._all_slots for array in slot)]:
            array[self._size : size] = array[0]
        self._buffers = torch.cat([self._buffers, self._buffers[:1].expand(new, -1)])
        self._hold(size)

    def step(self, batch: Batch, weights: Tensor, seed: int, learning_rate: float, step: int) -> None:
        """Do one update of every member."""
        leaves = {
            name: array.detach().requires_grad_()
            for name, array in zip(self._layout.names, self._parameters, strict=True)
        }
        _, self._buffers, *gradients = self._backend.ensemble_gradients(
            leaves, self._buffers, batch, weights, seed
        )
        self._updates.step(gradients, learning_rate, step)

    def arrays(self) -> tuple[Tensor, Slots, Tensor]:
        """Return parameters, slots and buffers with a leading axis."""
        slots = tuple(self._layout.join([a[: self._size] for a in slot], self._buffers) for slot in self._all_slots)
        return self._layout.join(self._parameters, self._buffers), slots, self._buffers

    def _hold(self, size: int) -> None:
        """Work on the first rows from now on."""
        self._size = size
        self._parameters = [array[:size] for array in self._all_parameters]
        slots = [[array[:size] for array in slot] for slot in self._all_slots]
        of_each = list(zip(*slots, strict=True)) if slots else [()] * len(self._parameters)
        self._updates = FusedUpdates(self._optimizer, self._parameters, of_each)


def vmapped_gradients(
    backend: TorchBackend, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
) -> tuple[Tensor, ...]:
    """Return losses ``(K, n)``, new buffers ``(K, S)`` and the gradients ``(K, *shape)``, all models at once."""

    def one(named: Named, own_buffers: Tensor) -> tuple[Tensor, Tensor]:
        return backend.train_losses(named, own_buffers, batch, seed)

    with quiet_vmap(), _folding(backend):
        losses, after = vmap(one, randomness="same")(leaves, buffers)
    gradients = torch.autograd.grad(losses, list(leaves.values()), weights, materialize_grads=True)
    return losses.detach(), after.detach(), *gradients


def gradients_one_by_one(
    backend: TorchBackend, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
) -> tuple[Tensor, ...]:
    """Return the same, one model after another."""
    each = [
        backend.leaf_gradients(_member(leaves, k), buffers[k], batch, weights[k], seed)
        for k in range(len(weights))
    ]
    return tuple(map(torch.stack, zip(*each, strict=True)))


def vmapped_outputs(backend: TorchBackend, leaves: Named, buffers: Tensor, batch: Batch) -> Tensor:
    """Return the outputs ``(K, n, ...)`` in evaluation mode, of all models at once."""

    def one(named: Named, own_buffers: Tensor) -> Tensor:
        outputs: Tensor = backend.model.eval_outputs(named, own_buffers, batch)
        return outputs

    with quiet_vmap(), _folding(backend):
        outputs = vmap(one, randomness="same")(leaves, buffers)
    if not isinstance(outputs, Tensor):
        raise TypeError("only single tensors are known to have the leading axis where it is looked for")
    return outputs


def outputs_one_by_one(backend: TorchBackend, leaves: Named, buffers: Tensor, batch: Batch) -> Sequence[Any]:
    """Return the same, one model after another."""
    return [backend.model.eval_outputs(_member(leaves, k), buffers[k], batch) for k in range(len(buffers))]


def _folding(backend: TorchBackend) -> Any:
    return FoldedLayers() if backend.model.device.type == "cpu" else nullcontext()


def _member(leaves: Named, k: int) -> Named:
    return {name: leaf[k].detach().requires_grad_() for name, leaf in leaves.items()}


def _rows(pieces: Sequence[Tensor], capacity: int) -> list[Tensor]:
    """Return room for `capacity` rows of each piece, with the piece in the first."""
    arrays = [piece.new_empty((capacity, *piece.shape)) for piece in pieces]
    for array, piece in zip(arrays, pieces, strict=True):
        array[0] = piece
    return arrays
