"""The inputs of a convolution as a matrix sees them: one row of numbers a position."""

from __future__ import annotations

import math
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
        """Return the patches ``(m, positions, groups, inputs)`` of ``(m, channels, *axes)``.

        They are copied with the positions last, which is several times as fast as one after another.
        """
        padded = F.pad(x, [n for pair in reversed(self.padding) for n in pair]).contiguous()
        m, channels, *lengths = padded.shape
        by_axis = zip(lengths, self.size, self.dilation, self.stride, strict=True)
        counts = [(length - spread * (size - 1) - 1) // step + 1 for length, size, spread, step in by_axis]
        of_sample, of_channel, *of_axes = padded.stride()
        within = [stride * spread for stride, spread in zip(of_axes, self.dilation, strict=True)]
        moves = [stride * step for stride, step in zip(of_axes, self.stride, strict=True)]
        shape, strides = (m, channels, *self.size, *counts), (of_sample, of_channel, *within, *moves)
        windows = torch.as_strided(padded, shape, strides)
        n_inputs = channels // self.groups * math.prod(self.size)
        return windows.reshape(m, self.groups, n_inputs, math.prod(counts)).movedim(-1, 1)

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
