r"""Directional derivatives of a whole batch at once: :math:`\langle v, \nabla\ell_j\rangle` for every j.

All three functions take ``(function, parameters, vector)``, with the parameters and the vector by name, and
return the directional derivative of the tensor that the function returns: losses ``(n,)`` or outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dataval.process import first_use
from dataval_torch.derivatives.gradients import vjp

__all__ = ["by_rows", "double_reverse", "forward_mode", "load_forward_mode"]

Named = dict[str, Tensor]
Function = Callable[[Named], Tensor]


def forward_mode(function: Function, parameters: Named, vector: Named) -> Tensor:
    """Do one forward pass with dual numbers; costs about as much as a gradient."""
    load_forward_mode()
    with torch.no_grad(), forward_ad.dual_level():
        duals = {
            name: forward_ad.make_dual(value.detach(), vector[name].detach())
            for name, value in parameters.items()
        }
        values, tangent = forward_ad.unpack_dual(function(duals))
        return torch.zeros_like(values) if tangent is None else tangent


@cache
def load_forward_mode() -> None:
    """Let PyTorch compile its forward derivatives, which it does at first use by a deprecated function."""
    with first_use(), warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def double_reverse(function: Function, parameters: Named, vector: Named) -> Tensor:
    """Take the derivative in w of the inner product of v and the gradient of the w-weighted values."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    values = function(leaves)
    weights = torch.ones_like(values, requires_grad=True)
    gradients = torch.autograd.grad(
        values, list(leaves.values()), weights, create_graph=True, materialize_grads=True
    )
    return vjp(gradients, [weights], list(vector.values()))[0]


def by_rows(function: Function, parameters: Named, vector: Named) -> Tensor:
    """Do one backward pass a value; works for whatever has a first derivative."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    values = function(leaves)
    slopes = [
        _inner(vjp([value], list(leaves.values()), [torch.ones_like(value)], retain_graph=True), vector)
        for value in values.flatten()
    ]
    return torch.stack(slopes).view(values.shape)


def _inner(gradients: list[Tensor], vector: Named) -> Tensor:
    return torch.stack([(g * v).sum() for g, v in zip(gradients, vector.values(), strict=True)]).sum()
