r"""Layers of K models as one layer with K times the channels.

Where `torch.func.vmap` goes over the parameters of K models, its own rules put the models into the batch or do
one after another. On a processor that is slower than it needs to be: with the models among the channels, in
the memory format that has these last, a layer of K small models is one of the size that kernels are made for.

- A linear layer whose input all models share is one product with K times the outputs.
- A convolution whose input they share is such a product too, on the unfolded input; otherwise it is a
  convolution with K groups.
- Pooling treats channels alike, however many there are.

Everything else is left to vmap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F  # noqa: N812 - everybody calls it that
from torch.overrides import TorchFunctionMode

__all__ = ["FoldedLayers"]

Dims = tuple[int | None, ...]


class FoldedLayers(TorchFunctionMode):
    """While it is entered, linear layers, convolutions and pooling under vmap are folded."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace an operation that has a rule here, and leave everything else as it is."""
        folded = _FOLDED.get(func, func)
        return folded(*args, **kwargs or {})


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:  # noqa: A002 - PyTorch's name
    return _Linear.apply(input, weight, bias)  # type: ignore[no-untyped-call]


def _conv2d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    if input.ndim != 4:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    return _Conv2d.apply(input, weight, bias, options, groups)  # type: ignore[no-untyped-call]


def _conv1d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Do a convolution along one axis as one along the second of two."""
    if input.ndim != 3:
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    flat = padding if isinstance(padding, str) else (0, _last(padding))
    options = {"stride": (1, _last(stride)), "padding": flat, "dilation": (1, _last(dilation))}
    arguments = input.unsqueeze(-2), weight.unsqueeze(-2), bias, options, groups
    return _Conv2d.apply(*arguments).squeeze(-2)  # type: ignore[no-untyped-call]


def _last(option: Any) -> int:
    value: int = option if isinstance(option, int) else option[-1]
    return value


def _pool(function: Callable[..., Any], input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
    if input.ndim != 4 or kwargs.get("return_indices"):
        return function(input, *args, **kwargs)
    return _Pool.apply(input, partial(_call, function, args, kwargs))  # type: ignore[no-untyped-call]


def _call(function: Callable[..., Any], args: Any, kwargs: Any, x: Tensor) -> Any:
    return function(x, *args, **kwargs)


_POOLING = (F.max_pool2d, torch.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d)
_FOLDED: dict[Callable[..., Any], Callable[..., Any]] = {
    F.linear: _linear,
    torch.conv1d: _conv1d,
    torch.conv2d: _conv2d,
    **{function: partial(_pool, function) for function in _POOLING},
}


class _Linear(Function):
    """Affine map of the last axis. As in the others here, vmap's rule alone is ever differentiated."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, dims: Dims, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, int]:
        x_dim, weight_dim, bias_dim = dims
        if weight_dim is None and bias_dim is None:
            assert x_dim is not None
            return F.linear(x.movedim(x_dim, 0), weight, bias), 0
        weight = _leading(weight, weight_dim, info.batch_size)
        bias = None if bias is None else _leading(bias, bias_dim, info.batch_size)
        if x_dim is None:
            flat = F.linear(x, weight.flatten(0, 1), None if bias is None else bias.flatten())
            return flat.unflatten(-1, weight.shape[:2]), x.ndim - 1
        x = x.movedim(x_dim, 0)
        columns = x.reshape(len(x), -1, x.shape[-1]).mT
        # With the weights on the left, their gradient comes out in their own memory layout.
        found = weight @ columns if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, columns)
        return found.mT.unflatten(1, x.shape[1:-1]), 0


class _Conv2d(Function):
    """Convolution of images."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, options: Any, groups: int) -> Tensor:
        return F.conv2d(x, weight, bias, groups=groups, **options)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any, dims: Dims, x: Tensor, weight: Tensor, bias: Tensor | None, options: Any, groups: int
    ) -> tuple[Tensor, int]:
        x_dim, weight_dim, bias_dim = dims[:3]
        if weight_dim is None and bias_dim is None:
            assert x_dim is not None
            images = x.movedim(x_dim, 0)
            found = F.conv2d(images.flatten(0, 1), weight, bias, groups=groups, **options)
            return found.unflatten(0, images.shape[:2]), 0
        weight = _leading(weight, weight_dim, info.batch_size)
        filters = weight.flatten(0, 1)
        bias = None if bias is None else _leading(bias, bias_dim, info.batch_size).flatten()
        if x_dim is None and groups == 1:
            found = _convolve_shared(x, filters, bias, options)
        else:
            images = _among_channels(x.unsqueeze(1).expand(-1, info.batch_size, -1, -1, -1), 1) if (
                x_dim is None
            ) else _among_channels(x, x_dim)
            found = F.conv2d(images, filters, bias, groups=info.batch_size * groups, **options)
        return found.unflatten(1, weight.shape[:2]), 1


class _Pool(Function):
    """Pooling of images, whatever the function."""

    @staticmethod
    def forward(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return function(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, dims: Dims, x: Tensor, function: Callable[[Tensor], Tensor]) -> tuple[Tensor, int]:
        assert dims[0] is not None
        return function(_among_channels(x, dims[0])).unflatten(1, (info.batch_size, -1)), 1


def _convolve_shared(x: Tensor, filters: Tensor, bias: Tensor | None, options: dict[str, Any]) -> Tensor:
    """Convolve images that all models share with the filters of all of them."""
    size = filters.shape[2:]
    if isinstance(options["padding"], str) or filters[0].numel() > len(filters):
        return F.conv2d(x.contiguous(memory_format=torch.channels_last), filters, bias, **options)
    patches = F.unfold(x, size, **options).mT
    found = F.linear(patches.flatten(0, 1), filters.flatten(1), bias)
    height = _n_positions(x.shape[2], size[0], options, 0)
    return found.view(len(x), height, -1, len(filters)).permute(0, 3, 1, 2)


def _n_positions(length: int, size: int, options: dict[str, Any], axis: int) -> int:
    stride, padding, dilation = (
        option if isinstance(option, int) else option[axis if len(option) > 1 else 0]
        for option in (options["stride"], options["padding"], options["dilation"])
    )
    n: int = (length + 2 * padding - dilation * (size - 1) - 1) // stride + 1
    return n


def _leading(array: Tensor, dim: int | None, size: int) -> Tensor:
    return array.expand(size, *array.shape) if dim is None else array.movedim(dim, 0)


def _among_channels(x: Tensor, dim: int) -> Tensor:
    """Return images ``(n, K * channels, height, width)`` with the channels last in memory."""
    return x.movedim(dim, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
