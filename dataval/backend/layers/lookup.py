"""The gradients of a table that is read: an embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers.base import LayerGradients, Piece, in_parts, stacked

__all__ = ["LookupGradients"]


@dataclass(frozen=True)
class LookupGradients(LayerGradients):
    """Of a table of V rows ``(V, O)`` that is read at T positions: an embedding.

    Attributes
    ----------
    name : str
    indices : ndarray of int64, shape (n, T)
        The rows that were read.
    outputs : array, shape (n, T, O)
        The gradient in what was read; 0 where it doesn't count (padding).
    n_rows : int
        V.
    weight : int
        Where the table starts in the flat vector.
    """

    name: str
    indices: NDArray[np.int64]
    outputs: Array
    n_rows: int
    weight: int

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.outputs.shape[0])

    def part(self, rows: slice) -> LookupGradients:
        """Return those of some of the samples."""
        return LookupGradients(self.name, self.indices[rows], self.outputs[rows], self.n_rows, self.weight)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of the table."""
        return ((self.weight, self.n_rows * int(self.outputs.shape[-1])),)

    def pieces(self, arrays: Arrays) -> list[Piece]:
        """Put what was read where it came from."""
        places = self.indices + self.n_rows * np.arange(len(self))[:, None]
        flat = arrays.reshape(self.outputs, (-1, int(self.outputs.shape[-1])))
        rows = arrays.sum_by(flat, arrays.reshape(places, (-1,)), len(self) * self.n_rows)
        return [(self.weight, arrays.reshape(rows, (len(self), -1)))]

    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Add up by row of the table."""
        weighted = self.outputs * arrays.reshape(weights, (-1, 1, 1))
        flat = arrays.reshape(weighted, (self.indices.size, -1))
        total = arrays.sum_by(flat, self.indices.reshape(-1), self.n_rows)
        return [(self.weight, arrays.reshape(total, (-1,)))]

    def slopes(self, arrays: Arrays, vectors: Array) -> Array:
        """Read vectors where the table was read."""
        (start, size), width = self.spans[0], int(self.outputs.shape[-1])
        table = arrays.reshape(vectors[:, start : start + size], (-1, self.n_rows, width))
        read = arrays.take(table, arrays.reshape(self.indices, (-1,)), 1)
        read = arrays.reshape(read, (-1, *self.indices.shape, width))
        return arrays.einsum("kjto,jto->kj", read, self.outputs)

    def inner(self, arrays: Arrays, other: LayerGradients) -> Array:
        """Multiply what was read at positions of the same row of the table."""
        assert isinstance(other, LookupGradients)
        parts = in_parts(len(self), self.indices.shape[1] * other.indices.size)
        return stacked(arrays, [self.part(rows)._by_positions(arrays, other) for rows in parts])

    def squared_norms(self, arrays: Arrays) -> Array:
        """As `inner`, of every sample with itself."""
        same = arrays.from_numpy(self.indices[:, :, None] == self.indices[:, None, :])
        products = arrays.einsum("jto,jso->jts", self.outputs, self.outputs)
        return arrays.einsum("jts->j", products * same)

    def _by_positions(self, arrays: Arrays, other: LookupGradients) -> Array:
        same = arrays.from_numpy(self.indices[:, None, :, None] == other.indices[None, :, None, :])
        products = arrays.einsum("jto,lso->jlts", self.outputs, other.outputs)
        return arrays.einsum("jlts->jl", products * same)
