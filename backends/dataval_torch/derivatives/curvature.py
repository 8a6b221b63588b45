r"""Products of vectors with the Hessian and with the Gauss-Newton matrix of an objective.

What is differentiated comes as functions: of the leaves, giving values or outputs; of outputs, giving values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dataval_torch.derivatives.gradients import Named, batched_vjp, vjp
from dataval_torch.derivatives.slopes import load_forward_mode

__all__ = ["gauss_newton_dual", "gauss_newton_products", "hessian_products"]

OfLeaves = Callable[[Named], Tensor]
OfOutputs = Callable[[Tensor], Tensor]


def hessian_products(
    values_of: OfLeaves, leaves: Named, weights: Tensor, vectors: Sequence[Tensor]
) -> list[Tensor]:
    """Differentiate the gradient along one vector or K of them, in pieces, in one sweep."""
    tensors = list(leaves.values())
    gradients = torch.autograd.grad(
        values_of(leaves), tensors, weights, create_graph=True, materialize_grads=True
    )
    return batched_vjp(gradients, tensors, vectors)


def gauss_newton_dual(
    outputs_of: OfLeaves, values_of: OfOutputs, leaves: Named, weights: Tensor, vector: Sequence[Tensor]
) -> list[Tensor]:
    """Do one forward pass with dual numbers, whose graph also serves the pass back."""
    load_forward_mode()
    with forward_ad.dual_level():
        duals = {
            name: forward_ad.make_dual(leaf, tangent)
            for (name, leaf), tangent in zip(leaves.items(), vector, strict=True)
        }
        outputs, moved = forward_ad.unpack_dual(outputs_of(duals))
    if moved is None:
        return [torch.zeros_like(piece) for piece in vector]
    return vjp([outputs], list(leaves.values()), _bend(values_of, outputs, weights, moved.detach()))


def gauss_newton_products(
    outputs_of: OfLeaves, values_of: OfOutputs, leaves: Named, weights: Tensor, vectors: Sequence[Tensor]
) -> list[Tensor]:
    """Push vectors forward as the transpose of a pass back, then pull them back; reverse mode alone."""
    tensors, outputs = list(leaves.values()), outputs_of(leaves)
    cotangent = torch.zeros_like(outputs, requires_grad=True)
    pulled = torch.autograd.grad(outputs, tensors, cotangent, create_graph=True, materialize_grads=True)
    (moved,) = batched_vjp(pulled, [cotangent], vectors)
    return batched_vjp([outputs], tensors, _bend(values_of, outputs, weights, moved))


def _bend(values_of: OfOutputs, outputs: Tensor, weights: Tensor, moved: Tensor) -> Sequence[Tensor]:
    """Apply the weighted Hessian of the values in the outputs."""
    free = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(values_of(free), free, weights, create_graph=True)
    return batched_vjp([slope], [free], [moved])
