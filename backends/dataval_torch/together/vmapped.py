"""Gradients, outputs and losses of K models at once, or one model after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import vmap

from dataval_torch.batches import Batch
from dataval_torch.derivatives.gradients import Named, quiet_vmap
from dataval_torch.losses import PerSample
from dataval_torch.together.folding import FoldedLayers

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = [
    "gradients_one_by_one",
    "losses_together",
    "outputs_one_by_one",
    "vmapped_gradients",
    "vmapped_outputs",
]


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
