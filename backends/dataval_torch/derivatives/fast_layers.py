"""Functions of PyTorch's that are given others with the same results, while a model of our own is called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dataval_torch.derivatives.activations import ACTIVATIONS, activate
from dataval_torch.derivatives.convolutions import CONVOLUTIONS, convolve
from dataval_torch.derivatives.pooling import average_pool, max_pool

__all__ = ["FastLayers", "TwiceDifferentiable"]

Replacement = Callable[..., Tensor | None]
"""Takes a function's arguments, and returns its result, or None where the function itself is to be called."""


class FastLayers(TorchFunctionMode):
    """While it is entered, pooling is done by what is faster than PyTorch's kernels, forward and backward."""

    replacements: ClassVar[dict[Any, Replacement]] = {
        functional.max_pool2d: max_pool,
        torch.max_pool2d: max_pool,
        functional.avg_pool2d: average_pool,
    }

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace a function, and leave everything else as it is."""
        replacement = None if _is_kept_elsewhere() else self.replacements.get(func)
        found = None if replacement is None else replacement(*args, **kwargs or {})
        return func(*args, **kwargs or {}) if found is None else found


def _is_kept_elsewhere() -> bool:
    """Whether somebody else keeps what a pass back needs: activation checkpoints, which compute it again.

    They do so wherever the pass back happens to be, and with PyTorch's own functions.
    """
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def _cross_entropy(
    input: Tensor,  # noqa: A002 - PyTorch's name for it
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor | None:
    """Return the cross-entropy of each row in arithmetic whose second derivative is cheap, or None."""
    is_plain = weight is None and size_average is None and reduce is None and not label_smoothing
    if not is_plain or reduction != "none" or input.ndim != 2 or target.is_floating_point():
        return None
    counts = target != ignore_index
    picked = input.gather(1, torch.where(counts, target, 0)[:, None])[:, 0]
    return torch.where(counts, input.logsumexp(1) - picked, 0.0)


class TwiceDifferentiable(FastLayers):
    """`FastLayers`, and functions whose second derivative is fast, for one cotangent and for K at once."""

    replacements: ClassVar[dict[Any, Replacement]] = {
        **FastLayers.replacements,
        **{function: partial(convolve, n_axes) for function, n_axes in CONVOLUTIONS.items()},
        **{function: partial(activate, function) for function in ACTIVATIONS},
        functional.cross_entropy: _cross_entropy,
    }
