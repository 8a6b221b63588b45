r"""Layers of K models as one layer with K times the channels.

Where `torch.func.vmap` goes over the parameters of K models, its own rules put the models into the batch or do
one after another. On a processor that is slower than it needs to be: with the models among the channels, in
the memory format that has these last, a layer of K small models is one of the size that kernels are made for.

- A linear layer whose input all models share is one product with K times the outputs.
- A convolution whose input they share is such a product too, on the unfolded input; otherwise it is a
  convolution with K groups.
- Pooling treats channels alike, however many there are.
- The cross-entropy of K models is that of as many images, whose kernels go along the pixels: PyTorch's softmax
  over a short last axis takes ten times as long.

Everything else is left to vmap. PyTorch's public way of giving vmap a rule, `torch.autograd.Function.vmap`,
does the same, but takes longer than a small layer itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import (  # what vmap itself is built from
    _add_batch_dim,
    get_unwrapped,
    is_batchedtensor,
    maybe_current_level,
    maybe_get_bdim,
    maybe_get_level,
)
from torch.nn import functional as F  # noqa: N812 - everybody calls it that
from torch.overrides import TorchFunctionMode

__all__ = ["FoldedLayers"]


class FoldedLayers(TorchFunctionMode):
    """While it is entered, linear layers, convolutions, pooling and cross-entropy under vmap are folded."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace an operation that has a rule here, and leave everything else as it is."""
        return _FOLDED.get(func, func)(*args, **kwargs or {})


@dataclass(frozen=True)
class _Models:
    """The innermost vmap: which of its tensors differ from model to model, and along which axis."""

    level: int
    size: int

    @classmethod
    def among(cls, *tensors: Tensor | None) -> _Models | None:
        """Return the vmap that is going on if it batches any of the tensors, and no other does."""
        level: Any = maybe_current_level()
        batched = [t for t in tensors if t is not None and is_batchedtensor(t)]
        if not batched or any(maybe_get_level(t) != level for t in batched):
            return None
        first = batched[0]
        return cls(level, get_unwrapped(first).shape[maybe_get_bdim(first)])

    def leading(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all models, along a leading axis."""
        if not is_batchedtensor(tensor):
            return tensor.expand(self.size, *tensor.shape)
        return get_unwrapped(tensor).movedim(maybe_get_bdim(tensor), 0)

    def among_channels(self, images: Tensor) -> Tensor:
        """Return images ``(n, K * channels, height, width)`` with the channels last in memory."""
        return self.leading(images).transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)

    def rewrap(self, tensor: Tensor, axis: int) -> Tensor:
        """Hand a result back to vmap."""
        wrapped: Tensor = _add_batch_dim(tensor, axis, self.level)
        return wrapped


def _is_shared(*tensors: Tensor | None) -> bool:
    return not any(t is not None and is_batchedtensor(t) for t in tensors)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002 - PyTorch's name
    models = _Models.among(input, weight, bias)
    if models is None or _is_shared(weight):
        return F.linear(input, weight, bias)
    weights = models.leading(weight)
    biases = None if bias is None else models.leading(bias)
    if _is_shared(input):
        flat = F.linear(input, weights.flatten(0, 1), None if biases is None else biases.flatten())
        return models.rewrap(flat.unflatten(-1, weights.shape[:2]), input.ndim - 1)
    inputs = models.leading(input)
    found = _products(weights, biases, inputs.reshape(models.size, -1, inputs.shape[-1]))
    return models.rewrap(found.unflatten(1, inputs.shape[1:-1]), 0)


def _products(weights: Tensor, biases: Tensor | None, rows: Tensor) -> Tensor:
    """Return ``rows @ weights.mT + biases`` with the larger of its two gradients contiguous in memory."""
    if rows.shape[1] < weights.shape[1]:
        columns = rows.mT
        found = weights @ columns if biases is None else torch.baddbmm(biases.unsqueeze(2), weights, columns)
        return found.mT
    return rows @ weights.mT if biases is None else torch.baddbmm(biases.unsqueeze(1), rows, weights.mT)


def _conv2d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    models = _Models.among(input, weight, bias) if input.ndim == 4 else None
    if models is None or _is_shared(weight):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    filters = models.leading(weight).flatten(0, 1)
    biases = None if bias is None else models.leading(bias).flatten()
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    if _is_shared(input) and groups == 1:
        found = _convolve_shared(input, filters, biases, options)
    else:
        images = models.among_channels(input)
        found = F.conv2d(images, filters, biases, groups=models.size * groups, **options)
    return models.rewrap(found.unflatten(1, (models.size, -1)), 1)


def _conv1d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Do a convolution along one axis as one along the second of two."""
    if input.ndim != 3:
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    flat = padding if isinstance(padding, str) else (0, _along(padding, -1))
    options = {"stride": (1, _along(stride, -1)), "padding": flat, "dilation": (1, _along(dilation, -1))}
    return _conv2d(input.unsqueeze(-2), weight.unsqueeze(-2), bias, groups=groups, **options).squeeze(-2)


def _pool(function: Callable[..., Tensor], input: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: A002
    models = _Models.among(input) if input.ndim == 4 and not kwargs.get("return_indices") else None
    if models is None:
        return function(input, *args, **kwargs)
    found = function(models.among_channels(input), *args, **kwargs)
    return models.rewrap(found.unflatten(1, (models.size, -1)), 1)


def _cross_entropy(input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: A002
    models = _Models.among(input, target) if input.ndim == 2 and target.ndim == 1 else None
    if models is None or args or kwargs.get("reduction") != "none" or not _is_shared(kwargs.get("weight")):
        return F.cross_entropy(input, target, *args, **kwargs)
    pixels = models.leading(input).mT.contiguous()
    return models.rewrap(F.cross_entropy(pixels, models.leading(target), **kwargs), 0)


def _convolve_shared(x: Tensor, filters: Tensor, bias: Tensor | None, options: dict[str, Any]) -> Tensor:
    """Convolve images that all models share with the filters of all of them."""
    size = filters.shape[2:]
    if isinstance(options["padding"], str) or filters[0].numel() > len(filters):
        return F.conv2d(x.contiguous(memory_format=torch.channels_last), filters, bias, **options)
    patches, weights = F.unfold(x, size, **options), filters.flatten(1)
    if bias is not None:  # as the weight of an input of one, as adding it takes as long as the product
        patches = F.pad(patches, (0, 0, 0, 1), value=1.0)
        weights = torch.cat([weights, bias[:, None]], dim=1)
    found = F.linear(patches.mT.flatten(0, 1), weights)
    height = _n_positions(x.shape[2], size[0], **{key: _along(value, 0) for key, value in options.items()})
    return found.view(len(x), height, -1, len(filters)).permute(0, 3, 1, 2)


def _n_positions(length: int, size: int, stride: int, padding: int, dilation: int) -> int:
    return (length + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def _along(option: Any, axis: int) -> int:
    """Return what an option, one number or one an axis, says about one axis."""
    values = [option] if isinstance(option, int) else list(option)
    value: int = values[axis] if len(values) > 1 else values[0]
    return value


_POOLING = (F.max_pool2d, torch.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d)
_FOLDED: dict[Callable[..., Any], Callable[..., Any]] = {
    F.linear: _linear,
    torch.conv1d: _conv1d,
    torch.conv2d: _conv2d,
    F.cross_entropy: _cross_entropy,
    **{function: partial(_pool, function) for function in _POOLING},
}
