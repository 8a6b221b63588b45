"""The training samples one by one, at one state of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.training.program import Program, State

__all__ = ["CurvatureKind", "TrainingSamples"]

FloatArray = NDArray[np.float64]
CurvatureKind = Literal["hessian", "gauss_newton"]
_CHUNK_SIZE = 250  # larger ones leave the caches of a processor
_ROW_BYTES = 2**26  # of per-sample gradients at a time
_CHUNK_ROWS = 4000  # samples times vectors that are handled at a time


class TrainingSamples:
    """The losses of all training samples at one state, in evaluation mode.

    Everything is taken and given as NumPy arrays of float64, and does not depend on `chunk_size`.

    Parameters
    ----------
    program : Program
    state : State
        Running statistics are held fixed.
    chunk_size : int, optional
        Samples handled at a time.
    """

    def __init__(self, program: Program, state: State, chunk_size: int | None = None) -> None:
        self._arrays, self._loss = program.backend.arrays, program.backend.objective()
        self._batches = program.backend.batches(program.data)
        self._state = state
        self._chunk_size = chunk_size or _CHUNK_SIZE
        self.n = len(program.data)
        self.n_parameters = program.backend.signature.n_parameters

    def slopes(self, vectors: FloatArray) -> FloatArray:
        r"""Return :math:`\langle v, \nabla\ell_j\rangle` along vectors ``(K, P)``, shape ``(K, N)``."""
        directions = self._arrays.from_numpy(vectors)
        parts = [self._loss.slopes(*self._at, self._batches.take(chunk), directions) for chunk in self.chunks()]
        return np.concatenate([self._numpy(part) for part in parts], axis=-1)

    def gradients(self, indices: NDArray[np.int64]) -> FloatArray:
        """Return the gradients ``(n, P)`` of some samples' losses."""
        rows, _ = self._loss.rows(*self._at, self._batches.take(indices))
        return self._numpy(rows)

    def squared_norms(self) -> FloatArray:
        """Return the squared norms of all samples' gradients, shape ``(N,)``."""
        rows = max(1, _ROW_BYTES // (8 * self.n_parameters))
        parts = [np.arange(start, min(self.n, start + rows)) for start in range(0, self.n, rows)]
        return np.concatenate([(self.gradients(part) ** 2).sum(axis=1) for part in parts])

    def weighted_product(self, kind: CurvatureKind, weights: FloatArray, vectors: FloatArray) -> FloatArray:
        """Return the weighted sum of the samples' curvatures times vectors ``(K, P)``."""
        product = {
            "hessian": self._loss.hessian_products,
            "gauss_newton": self._loss.gauss_newton_products,
        }[kind]
        directions = self._arrays.from_numpy(vectors if len(vectors) > 1 else vectors[0])
        total: Any = 0.0
        for chunk in self.chunks(len(vectors)):
            part = self._arrays.from_numpy(weights[chunk])
            total = total + product(*self._at, self._batches.take(chunk), part, directions)
        return self._numpy(total).reshape(vectors.shape)

    def check_gauss_newton(self) -> None:
        """Raise `InvalidModelError` if the model has no Gauss-Newton matrix."""
        few = next(self.chunks())[:2]
        nothing = self._arrays.from_numpy(np.zeros(len(few)))
        vector = self._arrays.from_numpy(np.zeros(self.n_parameters))
        self._loss.gauss_newton_products(*self._at, self._batches.take(few), nothing, vector)

    def chunks(self, n_vectors: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield the indices of all samples, some at a time."""
        size = max(1, min(self._chunk_size, _CHUNK_ROWS // n_vectors))
        for start in range(0, self.n, size):
            yield np.arange(start, min(self.n, start + size))

    @property
    def _at(self) -> tuple[Any, Any]:
        return self._state.parameters, self._state.buffers

    def _numpy(self, array: Any) -> FloatArray:
        return np.asarray(self._arrays.to_numpy(array), dtype=np.float64)
