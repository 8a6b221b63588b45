r"""Products of vectors with the Hessian and with the Gauss-Newton matrix, in evaluation mode.

All functions take ``(backend, parameters, buffers, batch, weights, vectors)`` as the backend's own methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dataval_torch.batches import Batch
from dataval_torch.derivatives.gradients import batched_vjp, vjp
from dataval_torch.derivatives.slopes import load_forward_mode
from dataval_torch.losses import check_tensor

if TYPE_CHECKING:
    from dataval_torch.backend import TorchBackend

__all__ = ["gauss_newton_dual", "gauss_newton_products", "hessian_products"]


def hessian_products(
    backend: TorchBackend, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, vectors: Tensor
) -> Tensor:
    """Differentiate the gradient along one vector ``(P,)`` or K of them in one sweep."""
    leaves = backend.model.leaves(parameters)
    losses = backend.eval_values(leaves, buffers, batch, None)
    gradients = torch.autograd.grad(
        losses, list(leaves.values()), weights, create_graph=True, materialize_grads=True
    )
    products = batched_vjp(gradients, list(leaves.values()), backend.model.layout.split(vectors))
    return backend.model.layout.join(products, vectors)


def gauss_newton_dual(
    backend: TorchBackend, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, vector: Tensor
) -> Tensor:
    """Do one forward pass with dual numbers, whose graph also serves the pass back."""
    load_forward_mode()
    layout, leaves = backend.model.layout, backend.model.leaves(parameters)
    with forward_ad.dual_level():
        duals = {
            name: forward_ad.make_dual(leaf, tangent)
            for (name, leaf), tangent in zip(leaves.items(), layout.split(vector), strict=True)
        }
        outputs, moved = forward_ad.unpack_dual(_outputs(backend, duals, buffers, batch))
    if moved is None:
        return torch.zeros_like(vector)
    bent = _bend(backend, outputs, batch, weights, moved.detach())
    return layout.join(vjp([outputs], list(leaves.values()), bent), vector)


def gauss_newton_products(
    backend: TorchBackend, parameters: Tensor, buffers: Tensor, batch: Batch, weights: Tensor, vectors: Tensor
) -> Tensor:
    """Push vectors forward as the transpose of a pass back, then pull them back; reverse mode alone."""
    layout, named = backend.model.layout, backend.model.leaves(parameters)
    leaves, outputs = list(named.values()), _outputs(backend, named, buffers, batch)
    cotangent = torch.zeros_like(outputs, requires_grad=True)
    pulled = torch.autograd.grad(outputs, leaves, cotangent, create_graph=True, materialize_grads=True)
    (moved,) = batched_vjp(pulled, [cotangent], layout.split(vectors))
    bent = _bend(backend, outputs, batch, weights, moved)
    return layout.join(batched_vjp([outputs], leaves, bent), vectors)


def _outputs(backend: TorchBackend, leaves: dict[str, Tensor], buffers: Tensor, batch: Batch) -> Tensor:
    outputs = backend.model.eval_outputs(leaves, buffers, batch)
    return check_tensor(outputs, "the Gauss-Newton matrix")


def _bend(
    backend: TorchBackend, outputs: Tensor, batch: Batch, weights: Tensor, moved: Tensor
) -> Sequence[Tensor]:
    """Apply the weighted Hessian of the losses in the outputs."""
    free = outputs.detach().requires_grad_()
    losses = backend.output_losses(free, batch.targets)
    (slope,) = torch.autograd.grad(losses, free, weights, create_graph=True)
    return batched_vjp([slope], [free], [moved])
