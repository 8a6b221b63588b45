"""Gradients, outputs and values of K models at once, or one model after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from dataval_torch.batches import Batch
from dataval_torch.derivatives.gradients import Named, quiet_vmap
from dataval_torch.losses import PerSample
from dataval_torch.model.functional import FunctionalModel

__all__ = [
    "gradients_one_by_one",
    "outputs_one_by_one",
    "values_together",
    "vmapped_gradients",
    "vmapped_outputs",
    "ways_to_fold",
]

Fold = Callable[[], AbstractContextManager[Any]]
Tied = Callable[[Named, Tensor, Batch, int], tuple[Tensor, Tensor]]


def ways_to_fold(model: FunctionalModel) -> tuple[Fold, ...]:
    """Return under what vmap may go over models of this kind, fastest first; nothing where it takes too long.

    Folding is made of what PyTorch keeps to itself, and only gains on a processor. Where it can't be imported,
    there is vmap alone.
    """
    if model.has_slow_convolutions:
        return ()
    if model.device.type != "cpu":
        return (nullcontext,)
    try:
        from dataval_torch.together.folding import FoldedLayers
    except ImportError:
        return (nullcontext,)
    return FoldedLayers, nullcontext


def vmapped_gradients(
    fold: Fold, tied: Tied, leaves: Named, buffers: Tensor, batch: Batch, weights: Tensor, seed: int
) -> tuple[Tensor, ...]:
    """Return losses ``(K, n)``, new buffers ``(K, S)`` and gradients ``(K, *shape)``, all models at once."""

    def one(named: Named, own_buffers: Tensor) -> tuple[Tensor, Tensor]:
        return tied(named, own_buffers, batch, seed)

    with quiet_vmap(), fold():
        losses, after = vmap(one, randomness="same")(leaves, buffers)
    gradients = torch.autograd.grad(losses, list(leaves.values()), weights, materialize_grads=True)
    return losses.detach(), after.detach(), *gradients


def gradients_one_by_one(
    leaf_gradients: Callable[..., tuple[Tensor, ...]],
    leaves: Named,
    buffers: Tensor,
    batch: Batch,
    weights: Tensor,
    seed: int,
) -> tuple[Tensor, ...]:
    """Return the same, one model after another."""
    each = [
        leaf_gradients(_member(leaves, k), buffers[k], batch, weights[k], seed) for k in range(len(weights))
    ]
    return tuple(map(torch.stack, zip(*each, strict=True)))


def vmapped_outputs(fold: Fold, model: FunctionalModel, leaves: Named, buffers: Tensor, batch: Batch) -> Tensor:
    """Return the outputs ``(K, n, ...)`` in evaluation mode, of all models at once."""

    def one(named: Named, own_buffers: Tensor) -> Tensor:
        outputs: Tensor = model.eval_outputs(named, own_buffers, batch)
        return outputs

    with quiet_vmap(), fold():
        outputs = vmap(one, randomness="same")(leaves, buffers)
    if not isinstance(outputs, Tensor):
        raise TypeError("only single tensors are known to have the leading axis where it is looked for")
    return outputs


def outputs_one_by_one(model: FunctionalModel, leaves: Named, buffers: Tensor, batch: Batch) -> Sequence[Any]:
    """Return the same, one model after another."""
    return [model.eval_outputs(_member(leaves, k), buffers[k], batch) for k in range(len(buffers))]


def values_together(model: FunctionalModel, function: PerSample, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return values ``(K, n)`` of outputs ``(K, n, ...)``, of a function that vmap is known to take."""
    fold = next(iter(ways_to_fold(model)), nullcontext)
    with fold():
        values: Tensor = vmap(function, in_dims=(0, None))(outputs, targets)
    return values


def _member(leaves: Named, k: int) -> Named:
    return {name: leaf[k].detach().requires_grad_() for name, leaf in leaves.items()}
