"""The training samples in the order of their distance to validation samples, some of these at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dataval.methods.features import unit_rows
from dataval.methods.of_features import Metric

__all__ = ["Block", "Distances"]

FloatArray = NDArray[np.float64]

_ENTRIES = 2**21  # distances that are held at a time
_BITS = 40  # distances that agree in so many bits of their scale differ by rounding alone


class Block:
    """Some validation samples and how far all training samples are from them.

    Parameters
    ----------
    rows : slice
        Which validation samples, B of them.
    compared : ndarray of float64, shape (B, N)
        What grows with the distances.
    scales : ndarray of float64, shape (B, 1)
        How large that could be.
    is_squared : bool
        Whether it is the square of the distances.
    """

    def __init__(self, rows: slice, compared: FloatArray, scales: FloatArray, is_squared: bool) -> None:
        self.rows, self._compared, self._scales, self._is_squared = rows, compared, scales, is_squared

    @cached_property
    def distances(self) -> FloatArray:
        """The distances ``(B, N)``."""
        return np.sqrt(self._compared) if self._is_squared else self._compared

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The training samples ``(B, N)``, nearest first; of equally far ones the first comes first.

        Whole numbers are sorted that hold a distance in their upper bits and the sample in the lower ones.
        """
        n = self._compared.shape[1]
        lower = max(1, (n - 1).bit_length())
        bits = min(_BITS, 61 - lower)
        keys: NDArray[np.int64] = np.rint(self._compared * (2.0**bits / self._scales)).astype(np.int64)
        keys <<= lower
        keys |= np.arange(n)
        keys.sort(axis=1)
        np.bitwise_and(keys, (1 << lower) - 1, out=keys)
        return keys

    @property
    def sorted_distances(self) -> FloatArray:
        """The distances, nearest first."""
        return np.take_along_axis(self.distances, self.order, axis=1)


class Distances:
    """Distances from training samples, by one matrix product for some validation samples at a time.

    The size of a block follows from N alone, so that memory is bounded and values don't depend on it. Distances
    that differ by less than rounding (2**-40 of the largest that there could be) count as equal, and then the
    order of the training samples decides.

    Parameters
    ----------
    vectors : ndarray of float64, shape (N, d)
        Of the training samples.
    metric : {"euclidean", "cosine"}
        The Euclidean distance, or 1 - the cosine, which is 1 for a vector of zeros.
    """

    def __init__(self, vectors: FloatArray, metric: Metric) -> None:
        self._metric = metric
        self._origin = vectors.mean(axis=0) if metric == "euclidean" else np.zeros(vectors.shape[1])
        self._vectors = self._moved(vectors)
        self._squares = (self._vectors**2).sum(axis=1)
        self._n = len(vectors)
        self.block_size = max(1, _ENTRIES // self._n)

    def blocks(self, others: FloatArray) -> Iterator[Block]:
        """Yield blocks of validation samples, given as vectors ``(n, d)``."""
        for start in range(0, len(others), self.block_size):
            rows = slice(start, min(len(others), start + self.block_size))
            compared, scales = self._compared(self._moved(others[rows]))
            yield Block(rows, compared, scales, self._metric == "euclidean")

    def _moved(self, vectors: FloatArray) -> FloatArray:
        return unit_rows(vectors) if self._metric == "cosine" else vectors - self._origin

    def _compared(self, others: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return squared distances, or 1 - cosines, and how large each row's could be."""
        found = others @ self._vectors.T
        if self._metric == "cosine":
            np.subtract(1.0, found, out=found)
            scales = np.full((len(others), 1), 2.0)
        else:
            squares = (others**2).sum(axis=1, keepdims=True)
            found *= -2.0
            found += squares
            found += self._squares
            scales = (np.sqrt(squares) + np.sqrt(self._squares.max())) ** 2
        return np.maximum(found, 0.0, out=found), np.where(scales == 0, 1.0, scales)
