r"""Random projections that are never stored: made from counters, some parameters at a time.

A matrix R with :math:`\mathrm E[R R^\top] = I` keeps inner products on average,
:math:`\mathrm E\langle xR, yR\rangle = \langle x, y\rangle`, with a standard deviation of at most
:math:`\sqrt{(\lVert x\rVert^2\lVert y\rVert^2 + \langle x, y\rangle^2)/k}` (Johnson & Lindenstrauss, 1984).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["ProjectionKind", "RandomProjection", "random_signs"]

ProjectionKind = Literal["sparse", "rademacher"]

_BLOCK = 2**14  # parameters whose rows of the matrix are made at a time
_NONZERO = 4  # entries of a row of the sparse matrix
_KEPT_BYTES = 2**27  # of blocks that are not made anew for every use


class RandomProjection:
    r"""A matrix R ``(size, dimension)`` of random signs that gradients are multiplied by.

    Row p depends on the seed, the stream and p alone, so that results don't depend on how samples or
    parameters are split. Only the raw bits of a Philox generator are used, which NumPy never changes.

    Parameters
    ----------
    size : int
        Number P of parameters.
    dimension : int
        k.
    seed : int
    kind : {"sparse", "rademacher"}
        ``"sparse"``: four entries :math:`\pm 1/2` a row, one in each quarter of the columns (a sparse
        Johnson-Lindenstrauss transform), as cheap for any dimension; ``"rademacher"``: all entries
        :math:`\pm 1/\sqrt k`. Both err equally.
    stream : int
        Tells apart matrices of one seed.

    References
    ----------
    Achlioptas (2003). Database-friendly random projections. Journal of Computer and System Sciences.
    Kane & Nelson (2014). Sparser Johnson-Lindenstrauss transforms. Journal of the ACM.
    Salmon, Moraes, Dror & Shaw (2011). Parallel random numbers: as easy as 1, 2, 3. SC.
    """

    def __init__(
        self, size: int, dimension: int, seed: int, kind: ProjectionKind = "sparse", stream: int = 0
    ) -> None:
        self.size, self.dimension = size, dimension
        self._seed, self._kind, self._stream = seed, kind, stream
        self._kept: dict[int, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made anew."""
        return self.__dict__ | {"_kept": {}}

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the products of rows ``(n, P)`` with the matrix, ``(n, k)``, in their dtype."""
        found = np.zeros((len(rows), self.dimension), rows.dtype)
        for block in self._blocks():
            part = rows[:, block.start : block.stop]
            matrix = self._matrix(block.start // _BLOCK, len(block))
            if self._kind == "sparse":
                found += (matrix.astype(rows.dtype) @ part.T).T
            else:
                found += part @ matrix.astype(rows.dtype)
        return np.asarray(found * np.asarray(self._scale, rows.dtype))

    def matrix(self) -> NDArray[np.float64]:
        """Return the whole matrix ``(P, k)``."""
        return self(np.eye(self.size))

    @property
    def _n_bands(self) -> int:
        return min(_NONZERO, self.dimension)

    @property
    def _scale(self) -> float:
        return float((self._n_bands if self._kind == "sparse" else self.dimension) ** -0.5)

    def _blocks(self) -> Iterator[range]:
        for start in range(0, self.size, _BLOCK):
            yield range(start, min(self.size, start + _BLOCK))

    def _matrix(self, block: int, length: int) -> Any:
        """Return signs ``(length, k)``, transposed and sparse where most are 0."""
        if block in self._kept:
            return self._kept[block]
        bits = _raw_bits(self._seed, self._stream, block)
        made = self._sparse(bits, length) if self._kind == "sparse" else _signs(bits, length, self.dimension)
        bytes_each = made.data.nbytes if self._kind == "sparse" else made.nbytes
        if bytes_each * (1 + self.size // _BLOCK) <= _KEPT_BYTES:
            self._kept[block] = made
        return made

    def _sparse(self, bits: np.random.Philox, length: int) -> Any:
        raw = np.asarray(bits.random_raw(length * self._n_bands), np.uint64).reshape(length, self._n_bands).T
        edges = np.linspace(0, self.dimension, self._n_bands + 1).astype(np.uint64)
        within = (raw >> np.uint64(1)) % np.diff(edges)[:, None]
        columns = (edges[:-1, None] + within).astype(np.int64)
        signs = np.where(raw & np.uint64(1), 1, -1).astype(np.int8)
        places = np.tile(np.arange(length), self._n_bands)
        shape = self.dimension, length
        return csr_array((signs.reshape(-1), (columns.reshape(-1), places)), shape=shape)


def random_signs(seed: int, stream: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return a matrix of random signs that depends on its arguments alone."""
    return _signs(_raw_bits(seed, stream, 0), *shape).astype(np.float64)


def _raw_bits(seed: int, stream: int, block: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, stream], np.uint64), counter=[0, 0, 0, block])


def _signs(bits: np.random.Philox, n_rows: int, n_columns: int) -> NDArray[np.int8]:
    n_words = -(-n_rows * n_columns // 64)
    raw = np.asarray(bits.random_raw(n_words), "<u8").view(np.uint8)
    ones = np.unpackbits(raw, count=n_rows * n_columns, bitorder="little").reshape(n_rows, n_columns)
    return ones.astype(np.int8) * np.int8(2) - np.int8(1)
