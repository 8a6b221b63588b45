"""What a framework's arrays can do beside ``+ - * / **``, ``@`` and indexing; as it stands, for NumPy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data import to_numpy

__all__ = ["Array", "Arrays"]

Array = Any
"""An array of the backend's framework."""


class Arrays:
    """Arrays of one floating-point dtype on one device.

    Parameters
    ----------
    dtype : str, default "float64"
        NumPy's name of it.
    """

    def __init__(self, dtype: str = "float64") -> None:
        self.dtype = dtype

    def from_numpy(self, array: NDArray[Any]) -> Array:
        """Return an array of the framework, in the dtype and on the device; it shares no memory."""
        return np.array(array, dtype=self.dtype)

    def to_numpy(self, array: Array) -> NDArray[Any]:
        """Return a NumPy array of the same dtype."""
        return to_numpy(array)

    def inner(self, left: Array, right: Array, /) -> Array:
        """Return the inner product along the last axis, kept with length 1."""
        return (left * right).sum(-1, keepdims=True)

    def minimum(self, array: Array, bound: float, /) -> Array:
        """Return the elementwise minimum of an array and a number."""
        return array.clip(max=bound)

    def outer(self, vectors: Array, rows: Array, /) -> Array:
        """Return all inner products of K vectors ``(K, P)`` and n rows ``(n, P)``, shape ``(K, n)``."""
        return vectors @ rows.T

    def stack(self, arrays: Sequence[Array]) -> Array:
        """Join arrays of one shape along a new leading axis."""
        return np.stack(arrays)

    def concatenate(self, arrays: Sequence[Array]) -> Array:
        """Join arrays along their last axis."""
        return np.concatenate(arrays, axis=-1)

    def empty(self, n: int, size: int, /) -> Array | None:
        """Return rows ``(n, size)`` to be written to; None where arrays can't be."""
        return np.empty((n, size), self.dtype)

    def multiply(self, left: Array, right: Array, out: Array, /) -> None:
        """Write the product of two arrays, broadcast, to a third."""
        np.multiply(left, right, out=out)

    def reshape(self, array: Array, shape: tuple[int, ...], /) -> Array:
        """Return an array in another shape, of which one length may be -1."""
        return array.reshape(shape)

    def einsum(self, equation: str, *arrays: Array) -> Array:
        """Multiply arrays and add up over axes, as `numpy.einsum`."""
        return np.einsum(equation, *arrays, optimize=True)

    def take(self, array: Array, indices: NDArray[np.int64], axis: int, /) -> Array:
        """Return the entries at `indices` along an axis."""
        return np.take(array, indices, axis)

    def sum_by(self, rows: Array, indices: NDArray[np.int64], n: int, /) -> Array:
        """Add up rows ``(m, p)`` that have the same index, shape ``(n, p)``."""
        total = np.zeros((n, *rows.shape[1:]), rows.dtype)
        np.add.at(total, indices, rows)
        return total
