r"""Activations whose derivatives are found once for all cotangents.

With :math:`y = f(x)` entry by entry, a gradient is :math:`\bar x = \bar y f'(x)`, and a cotangent :math:`u` of
it is pulled back to :math:`u f'(x)` for :math:`\bar y` and :math:`u\,\bar y f''(x)` for x. PyTorch computes
:math:`f'` and :math:`f''` anew each time; here they are kept, so that what is left is multiplication.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = ["ACTIVATIONS", "activate"]

Derivatives = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Returns the first and second derivative in every entry; None for a second one that is 0."""


def activate(function: Callable[..., Tensor], x: Any, *args: Any, **kwargs: Any) -> Tensor | None:
    """Return an activation of a tensor; None where PyTorch's own derivatives are to be taken."""
    is_free = isinstance(x, Tensor) and x.is_floating_point() and x.requires_grad
    if not is_free or kwargs.pop("inplace", False) or "out" in kwargs or any(arg is True for arg in args):
        return None

    def chosen(of: Tensor) -> Tensor:
        return function(of, *args, **kwargs)

    derivatives = None if args or kwargs else _OWN.get(function)
    if function is functional.gelu and kwargs.get("approximate", "none") == "none":
        derivatives = _gelu
    found: Tensor = _Activation.apply(x, chosen, derivatives or partial(_by_autograd, chosen))  # type: ignore[no-untyped-call]
    return found


class _Activation(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], derivatives: Derivatives) -> Tensor:
        ctx.save_for_backward(x)
        ctx.derivatives, ctx.found = derivatives, None
        return function(x)

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> Any:
        (x,) = ctx.saved_tensors  # once: what activation checkpoints kept is computed again each time
        if ctx.found is None:
            with torch.no_grad():
                ctx.found = ctx.derivatives(x.detach())
        if not torch.is_grad_enabled():
            return bar * ctx.found[0], None, None
        return _ActivationBackward.apply(bar, x, *ctx.found), None, None  # type: ignore[no-untyped-call]


class _ActivationBackward(Function):
    @staticmethod
    def forward(ctx: Any, bar: Tensor, x: Tensor, first: Tensor, second: Tensor | None) -> Tensor:
        bend = None if second is None else bar * second
        ctx.save_for_backward(first, bend)
        return bar * first

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, along: Tensor) -> Any:
        first, bend = ctx.saved_tensors
        return along * first, None if bend is None else along * bend, None, None


def _relu(x: Tensor) -> tuple[Tensor, None]:
    return torch.gt(
        x, 0, out=torch.empty_like(x)
    ), None  # a mask of bools would be read once more to be converted


def _gelu(x: Tensor) -> tuple[Tensor, Tensor]:
    squares = x * x
    density = torch.exp(-0.5 * squares - 0.5 * math.log(2 * math.pi))
    return torch.ops.aten.gelu_backward(torch.ones_like(x), x), density.mul_(2 - squares)


def _by_autograd(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor | None]:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (first,) = torch.autograd.grad(function(leaf).sum(), leaf, create_graph=True)
        if not first.requires_grad:
            return first, None
        (second,) = torch.autograd.grad(first.sum(), leaf, materialize_grads=True)
    return first.detach(), second


_OWN: dict[Any, Derivatives] = {functional.relu: _relu, torch.relu: _relu, Tensor.relu: _relu}

ACTIVATIONS = (
    *_OWN,
    functional.gelu,
    functional.silu,
    functional.mish,
    functional.elu,
    functional.softplus,
    functional.leaky_relu,
    functional.hardswish,
    torch.tanh,
    Tensor.tanh,
    torch.sigmoid,
    Tensor.sigmoid,
)
"""The functions that `activate` takes."""
