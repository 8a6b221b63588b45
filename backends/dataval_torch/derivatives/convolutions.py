r"""Convolutions whose second derivative is as fast as their first.

PyTorch's own second derivative computes the filters' part as a convolution with filters of the image's size,
which takes several times as long as it needs to. With :math:`y = w * x`, the two results of the derivative,
:math:`\bar x = \bar y *_x w` and :math:`\bar w = \bar y *_w x`, are bilinear. So cotangents :math:`u` of
:math:`\bar x` and :math:`v` of :math:`\bar w` are pulled back to

.. math:: w * u + v * x \;\text{ for } \bar y, \qquad \bar y *_x v \;\text{ for } x,
          \qquad \bar y *_w u \;\text{ for } w,

which are again a convolution and its two derivatives, and have kernels of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

__all__ = ["FastConvolutions"]

_CONVOLUTIONS = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}


class FastConvolutions(TorchFunctionMode):
    """While it is entered, convolutions are done by functions with a fast second derivative."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace a convolution, and leave everything else as it is."""
        n_axes = _CONVOLUTIONS.get(func)
        return func(*args, **kwargs or {}) if n_axes is None else _convolve(func, n_axes, *args, **kwargs or {})


@dataclass(frozen=True)
class _Geometry:
    """A convolution's options, as the operators underneath take them."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the convolution."""
        found: Tensor = torch.ops.aten.convolution(x, weight, bias, *self._options())
        return found

    def backward(
        self, output_bar: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the cotangents of input, filters and bias, as far as they are wanted."""
        found: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
            output_bar, x, weight, [weight.shape[0]], *self._options(), list(wanted)
        )
        return found

    def _options(self) -> tuple[Any, ...]:
        is_transposed, output_padding = False, [0] * len(self.stride)
        return self.stride, self.padding, self.dilation, is_transposed, output_padding, self.groups


def _convolve(
    func: Callable[..., Any],
    n_axes: int,
    input: Tensor,  # noqa: A002 - PyTorch's name for it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    if isinstance(padding, str) or input.ndim != n_axes + 2:
        return func(input, weight, bias, stride, padding, dilation, groups)
    geometry = _Geometry(
        _per_axis(stride, n_axes), _per_axis(padding, n_axes), _per_axis(dilation, n_axes), groups
    )
    return _Convolution.apply(input, weight, bias, geometry)  # type: ignore[no-untyped-call]


def _per_axis(option: Any, n_axes: int) -> list[int]:
    values = list(option) if isinstance(option, Sequence) else [option]
    return values * n_axes if len(values) == 1 else values


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return geometry.forward(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, output_bar: Tensor) -> Any:
        wanted = ctx.needs_input_grad[:3]
        return *_ConvolutionBackward.apply(output_bar, *ctx.saved_tensors, ctx.geometry, wanted), None  # type: ignore[no-untyped-call]


class _ConvolutionBackward(Function):
    @staticmethod
    def forward(
        ctx: Any, output_bar: Tensor, x: Tensor, weight: Tensor, geometry: _Geometry, wanted: Sequence[bool]
    ) -> Any:
        ctx.save_for_backward(output_bar, x, weight)
        ctx.set_materialize_grads(False)
        ctx.geometry = geometry
        return geometry.backward(output_bar, x, weight, wanted)

    @staticmethod
    def backward(
        ctx: Any, along_x: Tensor | None, along_weight: Tensor | None, along_bias: Tensor | None
    ) -> Any:
        output_bar, x, weight = ctx.saved_tensors
        geometry = ctx.geometry
        parts, x_bar, weight_bar = [], None, None
        if along_x is not None:
            parts.append(geometry.forward(along_x, weight))
            weight_bar = geometry.backward(output_bar, along_x, weight, (False, True, False))[1]
        if along_weight is not None:
            parts.append(geometry.forward(x, along_weight))
            if ctx.needs_input_grad[1]:
                x_bar = geometry.backward(output_bar, x, along_weight, (True, False, False))[0]
        if along_bias is not None:
            parts.append(along_bias.view(1, -1, *[1] * (x.ndim - 2)).expand_as(output_bar))
        return sum(parts) if parts else None, x_bar, weight_bar, None, None
