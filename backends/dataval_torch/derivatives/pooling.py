"""Pooling whose forward and backward passes are faster than PyTorch's on a processor, with the same results.

Windows must not overlap. A maximum is PyTorch's own, found with the planes of all images as channels, where the
kernel works on many at a time; its value is then gathered, which has every derivative. A mean is the sum of
strided views in the order in which the kernel adds, and its derivative is the transpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

__all__ = ["average_pool", "max_pool"]

_MOST_VIEWS = 9  # adding more views than this takes longer than PyTorch's kernel
_AXES = 2
_DTYPES = (torch.float32, torch.float64)


def max_pool(
    input: Tensor,  # noqa: A002 - PyTorch's name for it
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    """Return the maxima of windows of the last two axes; None where PyTorch's own kernel is to find them."""
    kernel = _window(kernel_size, stride, padding, ceil_mode)
    if kernel is None or return_indices or set(_per_axis(dilation)) != {1} or not _is_plain(input):
        return None
    places = _Places.apply(input, kernel)  # type: ignore[no-untyped-call]
    return input.flatten(-_AXES).gather(-1, places.flatten(-_AXES)).view(places.shape)


def average_pool(
    input: Tensor,  # noqa: A002 - PyTorch's name for it
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor | None:
    """Return the means of windows of the last two axes; None where PyTorch's own kernel is to find them."""
    kernel = _window(kernel_size, stride, padding, ceil_mode)
    if kernel is None or prod(kernel) > _MOST_VIEWS or divisor_override is not None or not _is_plain(input):
        return None
    found: Tensor = _Means.apply(input, kernel)  # type: ignore[no-untyped-call]
    return found


class _Places(Function):
    """Where in their planes the maxima are, the first of equal ones; without a derivative."""

    @staticmethod
    def forward(x: Tensor, kernel: tuple[int, int]) -> Tensor:
        planes = x.reshape(1, -1, *x.shape[-_AXES:]).contiguous(memory_format=torch.channels_last)
        places = torch.ops.aten.max_pool2d_with_indices(planes, kernel)[1]
        found: Tensor = places.reshape(*x.shape[:-_AXES], *places.shape[-_AXES:])
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, _: Any) -> Any:
        return None, None

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, kernel: tuple[int, int]) -> tuple[Tensor, int]:
        return _Places.apply(x.movedim(in_dims[0], 0), kernel), 0  # type: ignore[no-untyped-call]


class _Means(Function):
    """The means of windows."""

    @staticmethod
    def forward(x: Tensor, kernel: tuple[int, int]) -> Tensor:
        first, *others = _views(x, kernel)
        if not others:
            return first.clone()
        total = first + others[0]
        for other in others[1:]:
            total += other
        return total.div_(prod(kernel))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, tuple[int, int]], output: Tensor) -> None:
        ctx.kernel, ctx.plane = inputs[1], inputs[0].shape[-_AXES:]

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> Any:
        return _Spread.apply(bar, ctx.kernel, ctx.plane), None  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any) -> Any:
        return _Means.apply(tangent, ctx.kernel)  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, kernel: tuple[int, int]) -> tuple[Tensor, int]:
        return _Means.apply(x.movedim(in_dims[0], 0), kernel), 0  # type: ignore[no-untyped-call]


class _Spread(Function):
    """The transpose of `_Means`: each number, divided by their count, at all places of its window."""

    @staticmethod
    def forward(y: Tensor, kernel: tuple[int, int], plane: Sequence[int]) -> Tensor:
        rows, columns = kernel
        height, width = y.shape[-2] * rows, y.shape[-1] * columns
        is_whole = (height, width) == tuple(plane)
        x = y.new_empty((*y.shape[:-2], *plane)) if is_whole else y.new_zeros((*y.shape[:-2], *plane))
        share = y / prod(kernel)
        covered = x[..., :height, :width]
        first = covered[..., ::rows, :]
        for column in range(columns):
            first[..., column::columns] = share
        for row in range(1, rows):
            covered[..., row::rows, :] = first
        return x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.kernel, ctx.plane = inputs

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> Any:
        return _Means.apply(bar, ctx.kernel), None, None  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Any:
        return _Spread.apply(tangent, ctx.kernel, ctx.plane)  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, y: Tensor, kernel: tuple[int, int], plane: Sequence[int]
    ) -> tuple[Tensor, int]:
        return _Spread.apply(y.movedim(in_dims[0], 0), kernel, plane), 0  # type: ignore[no-untyped-call]


def _views(x: Tensor, kernel: tuple[int, int]) -> Iterator[Tensor]:
    """Yield the entries of all windows, place by place in the order of rows."""
    rows, columns = kernel
    height, width = x.shape[-2] // rows * rows, x.shape[-1] // columns * columns
    covered = x[..., :height, :width]
    for row, column in product(range(rows), range(columns)):
        yield covered[..., row::rows, column::columns]


def _window(kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool) -> tuple[int, int] | None:
    """Return the sizes of windows that lie side by side, or None where they don't."""
    kernel = _per_axis(kernel_size)
    steps = kernel if stride is None or stride in ((), []) else _per_axis(stride)
    return kernel if steps == kernel and set(_per_axis(padding)) == {0} and not ceil_mode else None


def _per_axis(option: Any) -> tuple[int, int]:
    values = tuple(option) if isinstance(option, Sequence) else (option,)
    first, second = values * _AXES if len(values) == 1 else values
    return int(first), int(second)


def _is_plain(x: Any) -> bool:
    """Whether a tensor lies in a processor's memory as the kernels that are slow take it."""
    return (
        isinstance(x, Tensor)
        and x.device.type == "cpu"
        and x.dtype in _DTYPES
        and x.ndim == _AXES + 2
        and 0 not in x.shape
        and x.is_contiguous()
    )
