"""The inputs of a convolution as a matrix sees them: one row of numbers a position."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name

__all__ = ["Geometry"]


@dataclass(frozen=True)
class Geometry:
    """How the filters of a convolution move over its input.

    Attributes
    ----------
    size, stride, dilation : tuple of int
        By axis.
    padding : tuple of (int, int)
        Before and after, by axis.
    groups : int
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int

    def patches(self, x: Tensor) -> Tensor:
        """Return the patches ``(m, positions, groups, inputs)`` of ``(m, channels, *axes)``."""
        m, channels, n_axes = x.shape[0], x.shape[1], len(self.size)
        if n_axes == 2 and self.groups == 1 and all(before == after for before, after in self.padding):
            symmetric = tuple(before for before, _ in self.padding)
            return F.unfold(x, self.size, self.dilation, symmetric, self.stride).mT.unsqueeze(2)
        padded = F.pad(x, [n for pair in reversed(self.padding) for n in pair]).contiguous()
        reach = zip(padded.shape[2:], self.size, self.dilation, self.stride, strict=True)
        counts = [(length - d * (size - 1) - 1) // step + 1 for length, size, d, step in reach]
        batch_stride, channel_stride, *axis_strides = padded.stride()
        moves = [a * s for a, s in zip(axis_strides, self.stride, strict=True)]
        within = [a * d for a, d in zip(axis_strides, self.dilation, strict=True)]
        windows = torch.as_strided(
            padded,
            (m, *counts, channels, *self.size),
            (batch_stride, *moves, channel_stride, *within),
        )
        return windows.reshape(m, -1, self.groups, channels // self.groups * _product(self.size))

    @classmethod
    def of_call(
        cls, n_axes: int, weight: Tensor, stride: object, padding: object, dilation: object, groups: int
    ) -> Geometry:
        """Return the geometry of a call of ``torch.conv1d`` to ``torch.conv3d``."""
        size, spread = tuple(weight.shape[2:]), _per_axis(dilation, n_axes)
        if padding == "same":
            total = [d * (s - 1) for d, s in zip(spread, size, strict=True)]
            pads = tuple((n // 2, n - n // 2) for n in total)
        else:
            pads = tuple((n, n) for n in _per_axis(0 if padding == "valid" else padding, n_axes))
        return cls(size, _per_axis(stride, n_axes), spread, pads, groups)


def _per_axis(option: object, n_axes: int) -> tuple[int, ...]:
    values = tuple(option) if isinstance(option, list | tuple) else (option,)
    return tuple(int(v) for v in (values * n_axes if len(values) == 1 else values))


def _product(sizes: tuple[int, ...]) -> int:
    found = 1
    for size in sizes:
        found *= size
    return found
