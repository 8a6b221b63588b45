"""Training K models at once: their gradients, and their state in memory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from dataval.backend import Ensemble
from dataval.optimizers import Optimizer, Slots
from dataval_torch.batches import Batch, TorchBatches
from dataval_torch.folding import FoldedLayers
from dataval_torch.fused_updates import FusedUpdates
from dataval_torch.gradients import Named, quiet_vmap
from dataval_torch.losses import PerSample

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = [
    "TorchEnsemble",
    "gradients_one_by_one",
    "losses_together",
    "outputs_one_by_one",
    "vmapped_gradients",
    "vmapped_outputs",
]


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
        self._dual = backend.dual_layer(parameters, slots, batches, optimizer, capacity)
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
            errors, *gradients = self._backend.dual_gradients(
                self._dual.name, known, leaves, self._buffers, batch, weights, seed
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


def vmapped_gradients(
    backend: TorchBackend,
    leaves: Named,
    buffers: Tensor,
    batch: Batch,
    weights: Tensor,
    seed: int,
    known: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Return losses ``(K, n)``, new buffers ``(K, S)`` and the gradients ``(K, *shape)``, all models at once.

    Where `known` is one of the leaves, it stands for a layer's weights and holds its outputs, see `DualLayer`.
    """

    def one(named: Named, own_buffers: Tensor) -> tuple[Tensor, Tensor]:
        return backend.train_losses(named, own_buffers, batch, seed)

    with quiet_vmap(), _folding(backend, known):
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


def losses_together(loss: PerSample, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return losses ``(K, n)`` of outputs ``(K, n, ...)``, for a loss that vmap is known to take."""
    with FoldedLayers():
        losses: Tensor = vmap(loss, in_dims=(0, None))(outputs, targets)
    return losses


def outputs_one_by_one(backend: TorchBackend, leaves: Named, buffers: Tensor, batch: Batch) -> Sequence[Any]:
    """Return the same, one model after another."""
    return [backend.model.eval_outputs(_member(leaves, k), buffers[k], batch) for k in range(len(buffers))]


def _folding(backend: TorchBackend, known: Tensor | None = None) -> Any:
    on_cpu = backend.model.device.type == "cpu"
    return FoldedLayers(known) if on_cpu or known is not None else nullcontext()


def _member(leaves: Named, k: int) -> Named:
    return {name: leaf[k].detach().requires_grad_() for name, leaf in leaves.items()}
