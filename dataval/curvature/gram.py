r"""The inverse of a damped second moment of rows, such as the Fisher matrix of compressed gradients.

.. math:: M = s\sum_j w_j\,\varphi_j\varphi_j^\top + \lambda I
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from dataval.errors import InvalidDataError

__all__ = ["DampedGram"]

FloatArray = NDArray[np.float64]
Read = Callable[[int, int], FloatArray]

_PART_BYTES = 2**26
_SINGULAR = 1e-12  # smallest pivot of the Cholesky factor over the largest, squared


class DampedGram:
    r"""Products with :math:`M^{-1}`, by a factorisation of k x k or of N x N, whichever is smaller.

    Parameters
    ----------
    read : callable
        Returns the rows from one number to another, ``(n, k)`` in float64.
    shape : (int, int)
        N and k.
    weights : ndarray of float64, shape (N,)
        Rows of weight 0 are no part of M, and may hold NaN.
    scale : float
        s.
    damping : float or None
        :math:`\lambda`; None stands for a share of the mean of those eigenvalues of the
        sum that can be other than 0, of which there are min(k, N).
    share : float
        That share.

    Attributes
    ----------
    damping : float

    Raises
    ------
    InvalidDataError
        If M is singular.
    """

    def __init__(
        self,
        read: Read,
        shape: tuple[int, int],
        weights: FloatArray,
        scale: float,
        damping: float | None,
        share: float = 0.1,
    ) -> None:
        self._read, self._n, self._size = read, *shape
        self._kept = np.flatnonzero(weights)
        self._roots = np.sqrt(scale * weights)
        self._is_dual = len(self._kept) < self._size
        gram = self._dual_gram() if self._is_dual else self._primal_gram()
        mean = float(np.trace(gram)) / max(1, len(gram))
        self.damping = share * mean if damping is None else damping
        if self._is_dual and not self.damping:
            raise _singular(self._size, len(self._kept))
        gram[np.diag_indices_from(gram)] += self.damping
        self._factor = self._factorised(gram)

    def values(self, vectors: FloatArray) -> FloatArray:
        r"""Return :math:`v^\top M^{-1}\varphi_j` for vectors ``(m, k)`` and all rows, ``(m, N)``."""
        if not self._is_dual:
            solved = np.asarray(cho_solve(self._factor, vectors.T).T)
            return np.concatenate([solved @ rows.T for _, rows in self._parts()], axis=1)
        coefficients = self._coefficients(vectors)
        found = np.empty((len(vectors), self._n))
        found[:, self._kept] = coefficients / self._roots[self._kept]
        for sample in np.flatnonzero(self._roots == 0).tolist():
            row = self._read(sample, sample + 1)
            found[:, sample] = self._outside(vectors, coefficients, row)[:, 0]
        return found

    def leverages(self) -> FloatArray:
        r"""Return :math:`\varphi_j^\top M^{-1}\varphi_j` for all rows, ``(N,)``."""
        if not self._is_dual:
            parts = [(rows, cho_solve(self._factor, rows.T).T) for _, rows in self._parts()]
            return np.concatenate([np.einsum("jk,jk->j", rows, solved) for rows, solved in parts])
        found, identity = np.empty(self._n), np.eye(len(self._kept))
        inverse = np.diag(cho_solve(self._factor, identity))
        found[self._kept] = (1 - self.damping * inverse) / self._roots[self._kept] ** 2
        for sample in np.flatnonzero(self._roots == 0).tolist():
            row = self._read(sample, sample + 1)
            found[sample] = self._outside(row, self._coefficients(row), row)[0, 0]
        return found

    def _coefficients(self, vectors: FloatArray) -> FloatArray:
        """Return what the rows that are part of M contribute to solutions, ``(m, n)``."""
        products = np.concatenate([vectors @ rows.T for _, rows in self._weighted()], axis=1)
        return np.asarray(cho_solve(self._factor, products.T).T)

    def _outside(self, vectors: FloatArray, coefficients: FloatArray, row: FloatArray) -> FloatArray:
        """Return the values ``(m, 1)`` of a row that is no part of M, by Woodbury's identity."""
        within = np.concatenate([rows @ row.T for _, rows in self._weighted()])
        return np.asarray((vectors @ row.T - coefficients @ within) / self.damping)

    def _primal_gram(self) -> FloatArray:
        gram = np.zeros((self._size, self._size))
        for _, rows in self._weighted():
            gram += rows.T @ rows
        return gram

    def _dual_gram(self) -> FloatArray:
        gram, start = np.zeros((len(self._kept), len(self._kept))), 0
        for first, rows in self._weighted():
            stop, at = start + len(rows), start
            for _, others in self._weighted(first):
                gram[start:stop, at : at + len(others)] = rows @ others.T
                at += len(others)
            gram[start:, start:stop] = gram[start:stop, start:].T
            start = stop
        return gram

    def _weighted(self, first: int = 0) -> Iterator[tuple[int, FloatArray]]:
        """Yield the rows that are part of M, times the roots of their weights, with where they were read."""
        for indices, rows in self._parts(first):
            kept = self._roots[indices] > 0
            yield int(indices[0]), rows[kept] * self._roots[indices[kept], None]

    def _parts(self, first: int = 0) -> Iterator[tuple[NDArray[np.int64], FloatArray]]:
        size = max(1, _PART_BYTES // (8 * self._size))
        for start in range(first, self._n, size):
            stop = min(self._n, start + size)
            yield np.arange(start, stop), self._read(start, stop)

    def _factorised(self, gram: FloatArray) -> tuple[FloatArray, bool]:
        try:
            factor: tuple[FloatArray, bool] = cho_factor(gram, lower=True)
        except LinAlgError:
            raise _singular(self._size, len(self._kept)) from None
        pivots = np.diag(factor[0]) ** 2
        if pivots.min() <= _SINGULAR * pivots.max():
            raise _singular(self._size, len(self._kept))
        return factor


def _singular(size: int, n: int) -> InvalidDataError:
    return InvalidDataError(
        f"the second moment of {n} gradients in {size} numbers is singular: give a damping above 0 (None for a "
        "share of its mean eigenvalue), or compress to fewer numbers than there are samples"
    )
