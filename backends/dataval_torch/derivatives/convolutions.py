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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

__all__ = ["CONVOLUTIONS", "convolve"]

CONVOLUTIONS = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}
"""PyTorch's convolutions, with the number of their axes."""


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


def convolve(
    n_axes: int,
    input: Tensor,  # noqa: A002 - PyTorch's name for it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """Return a convolution; None where PyTorch's own is to do it."""
    if isinstance(padding, str) or input.ndim != n_axes + 2:
        return None
    geometry = _Geometry(
        _per_axis(stride, n_axes), _per_axis(padding, n_axes), _per_axis(dilation, n_axes), groups
    )
    found: Tensor = _Convolution.apply(input, weight, bias, geometry)  # type: ignore[no-untyped-call]
    return found


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
        if not torch.is_grad_enabled():
            return *ctx.geometry.backward(output_bar, *ctx.saved_tensors, wanted), None
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
        geometry, wanted = ctx.geometry, ctx.needs_input_grad
        bar, x_bar, weight_bar = None, None, None
        if along_weight is not None:
            bar = geometry.forward(x, along_weight, along_bias)
            if wanted[1]:
                x_bar = geometry.backward(output_bar, x, along_weight, (True, False, False))[0]
        elif along_bias is not None:
            bar = along_bias.view(1, -1, *[1] * (x.ndim - 2)).expand_as(output_bar)
        if along_x is not None:
            part = geometry.forward(along_x, weight)
            bar = part if bar is None else bar + part
            if wanted[2]:
                weight_bar = geometry.backward(output_bar, along_x, weight, (False, True, False))[1]
        return bar, x_bar, weight_bar, None, None
