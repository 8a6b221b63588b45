r"""Directional derivatives of a whole batch at once: :math:`\langle v, \nabla\ell_j\rangle` for every j.

All three functions take ``(losses_of, parameters, vector)``, with the parameters and the vector by name, and
return a tensor ``(n,)``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dataval_torch.gradients import vjp

__all__ = ["by_rows", "double_reverse", "forward_mode", "output_jvp"]

Named = dict[str, Tensor]
Function = Callable[[Named], Tensor]


def forward_mode(losses_of: Function, parameters: Named, vector: Named) -> Tensor:
    """Do one forward pass with dual numbers; costs about as much as a gradient."""
    _load_forward_mode()
    with torch.no_grad(), forward_ad.dual_level():
        duals = {
            name: forward_ad.make_dual(value.detach(), vector[name].detach())
            for name, value in parameters.items()
        }
        losses, tangent = forward_ad.unpack_dual(losses_of(duals))
        return torch.zeros_like(losses) if tangent is None else tangent


@cache
def _load_forward_mode() -> None:
    """Let PyTorch compile its forward derivatives, which it does at first use by a deprecated function."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def double_reverse(losses_of: Function, parameters: Named, vector: Named) -> Tensor:
    """Take the derivative in w of the inner product of v and the gradient of the w-weighted loss."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    losses = losses_of(leaves)
    weights = torch.ones_like(losses, requires_grad=True)
    gradients = torch.autograd.grad(
        losses, list(leaves.values()), weights, create_graph=True, materialize_grads=True
    )
    return vjp(gradients, [weights], list(vector.values()))[0]


def by_rows(losses_of: Function, parameters: Named, vector: Named) -> Tensor:
    """Do one backward pass a sample; works for whatever has a first derivative."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    losses = losses_of(leaves)
    slopes = []
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True, materialize_grads=True)
        slopes.append(
            torch.stack([(g * v).sum() for g, v in zip(gradients, vector.values(), strict=True)]).sum()
        )
    return torch.stack(slopes)


def output_jvp(outputs_of: Callable[[Named], Any], parameters: Named, vector: Named) -> Tensor:
    """Return the directional derivative of a tensor of outputs, by double reverse."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    outputs = outputs_of(leaves)
    direction = torch.zeros_like(outputs, requires_grad=True)
    gradients = torch.autograd.grad(
        outputs, list(leaves.values()), direction, create_graph=True, materialize_grads=True
    )
    return vjp(gradients, [direction], list(vector.values()))[0]
