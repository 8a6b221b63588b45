"""The inputs of a convolution as a matrix sees them: one row of numbers a position."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import tensorflow as tf

__all__ = ["Geometry"]

_SMALL = 64  # numbers a patch, up to which a convolution that copies them is faster than slices


@dataclass(frozen=True)
class Geometry:
    """How the filters of a convolution move over its input, which has the channels last.

    Attributes
    ----------
    size, stride, dilation : tuple of int
        By axis.
    padding : tuple of (int, int) or None
        Before and after, by axis; None where the outputs are as many as the inputs, strides apart.
    groups : int
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...] | None
    groups: int

    def patches(self, x: tf.Tensor) -> tf.Tensor:
        """Return the patches ``(m, positions, groups, inputs)`` of ``(m, *axes, channels)``.

        The inputs of a patch are by place first, then by channel of the group.
        """
        channels, pads = x.shape[-1], self._pads(tuple(x.shape[1:-1]))
        if any(before or after for before, after in pads):
            x = tf.pad(x, [(0, 0), *pads, (0, 0)])
        n_places = prod(self.size)
        found = tf.reshape(self._places(x), (x.shape[0], -1, n_places, channels))
        if self.groups == 1:
            return tf.reshape(found, (*found.shape[:2], 1, n_places * channels))
        within = channels // self.groups
        grouped = tf.transpose(tf.reshape(found, (*found.shape[:3], self.groups, within)), [0, 1, 3, 2, 4])
        return tf.reshape(grouped, (*grouped.shape[:3], n_places * within))

    def counts(self, lengths: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many positions there are along each axis of the input."""
        pads = self._pads(lengths)
        return self._positions(tuple(a + sum(pad) for a, pad in zip(lengths, pads, strict=True)))

    def _positions(self, padded: tuple[int, ...]) -> tuple[int, ...]:
        ranges = zip(padded, self.size, self.stride, self.dilation, strict=True)
        return tuple((length - (size - 1) * apart - 1) // step + 1 for length, size, step, apart in ranges)

    def _pads(self, lengths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        if self.padding is not None:
            return self.padding
        found = []
        for length, size, step, dilation in zip(lengths, self.size, self.stride, self.dilation, strict=True):
            total = max(0, (-(-length // step) - 1) * step + (size - 1) * dilation + 1 - length)
            found.append((total // 2, total - total // 2))
        return tuple(found)

    def _places(self, x: tf.Tensor) -> tf.Tensor:
        """Return what all places of the filters see, in the fastest way."""
        n = prod(self.size) * int(x.shape[-1])
        if len(self.size) != 2 or n > _SMALL or max(self.dilation) > 1 or "GPU" in x.device:
            return self._slices(x)
        return tf.nn.conv2d(x, self._identity(x), self.stride, "VALID")

    def _slices(self, x: tf.Tensor) -> tf.Tensor:
        """Return what each place of the filters sees, ``(m, *positions, places, channels)``."""
        rows, counts = [], self._positions(tuple(x.shape[1:-1]))
        for place in product(*map(range, self.size)):
            window = [slice(None)]
            for at, count, step, apart in zip(place, counts, self.stride, self.dilation, strict=True):
                window.append(slice(at * apart, at * apart + (count - 1) * step + 1, step))
            rows.append(x[tuple(window)])
        return tf.stack(rows, axis=-2)

    def _identity(self, x: tf.Tensor) -> tf.Tensor:
        channels = int(x.shape[-1])
        n = prod(self.size) * channels
        return tf.reshape(tf.eye(n, dtype=x.dtype), (*self.size, channels, n))
