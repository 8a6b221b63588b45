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

__all__ = ["gauss_newton_dual", "gauss_newton_linearization", "gauss_newton_products", "hessian_products"]

OfLeaves = Callable[[Named], Tensor]
OfOutputs = Callable[[Tensor], Tensor]
Pullback = Callable[[Sequence[Tensor], Tensor], tuple[list[Tensor], Tensor, Tensor]]


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


def gauss_newton_linearization(
    outputs: Tensor, after: Tensor, leaves: Named, buffers: Tensor, weights: Tensor, values_of: OfOutputs
) -> tuple[Sequence[Tensor], Pullback]:
    """Return the gradient of the weighted values in the leaves, and its pullback by the Gauss-Newton matrix.

    Reverse mode alone: the gradient is linear in the cotangent of the outputs, and the transpose of that map
    pushes a vector forward to them.

    Parameters
    ----------
    outputs, after : Tensor
        A forward pass's outputs and new buffers, tied to leaves and buffers.
    leaves : dict of Tensor
        The parameters.
    buffers : Tensor
        Those before the pass.
    weights : Tensor
        Of the values.
    values_of : callable
        (outputs) -> ``(n,)``.

    Returns
    -------
    sequence of Tensor
    callable
        Takes cotangents of the gradient, by leaf, and of the new buffers, and returns those of leaves, weights
        and buffers. It may be called once.
    """
    tensors, arguments = list(leaves.values()), [_free(outputs), _free(weights)]
    (slope,) = torch.autograd.grad(
        values_of(arguments[0]), arguments[:1], arguments[1], create_graph=True, materialize_grads=True
    )
    cotangent = _free(slope)
    gradients = torch.autograd.grad(outputs, tensors, cotangent, create_graph=True, materialize_grads=True)

    def pullback(vectors: Sequence[Tensor], after_vectors: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        (moved,) = batched_vjp(gradients, [cotangent], vectors)
        bent, along = batched_vjp([slope], arguments, [moved])
        *through, buffers_bar = batched_vjp([outputs, after], [*tensors, buffers], [bent, after_vectors])
        return through, along, buffers_bar

    return gradients, pullback


def _bend(values_of: OfOutputs, outputs: Tensor, weights: Tensor, moved: Tensor) -> Sequence[Tensor]:
    """Apply the weighted Hessian of the values in the outputs."""
    free = _free(outputs)
    (slope,) = torch.autograd.grad(values_of(free), free, weights, create_graph=True)
    return batched_vjp([slope], [free], [moved])


def _free(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()
