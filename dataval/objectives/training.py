"""The training samples one by one, at one state of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Arrays
from dataval.backend.layers import (
    Blocks,
    LayerGradients,
    LinearGradients,
    LookupGradients,
    compact,
    inner_products,
    squared_norms_of,
)
from dataval.errors import InvalidDataError
from dataval.training.faults import check_finite
from dataval.training.program import Program, State

__all__ = ["CurvatureKind", "TrainingSamples", "layer_chunk_size"]

FloatArray = NDArray[np.float64]

CurvatureKind = Literal["hessian", "gauss_newton"]
_CHUNK_SIZE = 250  # larger ones leave the caches of a processor
_BLOCK_BYTES = 2**27  # of gradients by layer at a time
_ROW_BYTES = 2**26  # of per-sample gradients at a time
_WHAT = "the gradient of its loss in evaluation mode"
_CHUNK_ROWS = 4000  # samples times vectors that are handled at a time


class TrainingSamples:
    """The losses of all training samples at one state, in evaluation mode.

    Everything is taken and given as NumPy arrays of float64, and does not depend on `chunk_size`. A sample that
    has no finite gradient is an `InvalidDataError` that names it; of weight 0, its numbers are NaN.

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
        self._state, self._weights = state, program.weights
        self._chunk_size, self._chunk_size_given = chunk_size or _CHUNK_SIZE, chunk_size
        self._one = np.array([np.argmax(program.weights)])
        self.n = len(program.data)
        self.n_parameters = program.backend.signature.n_parameters

    def slopes(self, vectors: FloatArray) -> FloatArray:
        r"""Return :math:`\langle v, \nabla\ell_j\rangle` along vectors ``(K, P)``, shape ``(K, N)``."""
        directions = self._arrays.from_numpy(vectors)
        parts = [self._slopes(chunk, directions) for chunk in self.chunks()]
        found = np.concatenate(parts, axis=-1)
        check_finite(found, np.arange(self.n), self._weights, _WHAT)
        return found

    def gradients(self, indices: NDArray[np.int64]) -> FloatArray:
        """Return the gradients ``(n, P)`` of some samples' losses."""
        found = self._rows(indices)
        check_finite(found.T, indices, self._weights, _WHAT)
        return found

    def products(self, blocks: Sequence[LayerGradients]) -> FloatArray:
        r"""Return :math:`\langle\nabla F_k, \nabla\ell_j\rangle` with K gradients by layer, ``(K, N)``.

        What isn't finite stays so: `slopes` along the gradients names the sample.
        """
        kept = compact(self._arrays, blocks)
        parts = [inner_products(self._arrays, kept, self._layers(chunk)) for chunk in self._layer_chunks()]
        return np.concatenate(list(map(self.numpy, parts)), axis=-1)

    def _layers(self, indices: NDArray[np.int64]) -> Sequence[LayerGradients]:
        return compact(self._arrays, self._blocks(indices))

    def _layer_chunks(self) -> Iterator[NDArray[np.int64]]:
        """Yield the indices of all samples, few enough at a time for what their layers keep."""
        size = self._chunk_size_given or layer_chunk_size(self._arrays, self._blocks(self._one))
        for start in range(0, self.n, size):
            yield np.arange(start, min(self.n, start + size))

    def by_layer(self, function: Callable[[Blocks], FloatArray]) -> FloatArray:
        """Return what a function finds ``(..., n)`` of samples' gradients by layer, for all ``(..., N)``."""
        parts = [self._found_by_layer(function, chunk) for chunk in self._layer_chunks()]
        found = np.concatenate(parts, axis=-1)
        check_finite(found, np.arange(self.n), self._weights, _WHAT)
        return found

    def _found_by_layer(
        self, function: Callable[[Blocks], FloatArray], indices: NDArray[np.int64]
    ) -> FloatArray:
        found = function(self._blocks(indices))
        if len(indices) == 1 or np.isfinite(found).all():
            return found
        return np.concatenate([self._found_by_layer(function, one) for one in indices[:, None]], axis=-1)

    def _blocks(self, indices: NDArray[np.int64]) -> Blocks:
        return self._loss.layer_gradients(*self._at, self._batches.take(indices))

    def _slopes(self, indices: NDArray[np.int64], directions: Any) -> FloatArray:
        found = self.numpy(self._loss.slopes(*self._at, self._batches.take(indices), directions))
        if len(indices) == 1 or np.isfinite(found).all():
            return found
        return np.concatenate([self._slopes(one, directions) for one in indices[:, None]], axis=-1)

    def _rows(self, indices: NDArray[np.int64]) -> FloatArray:
        """Return gradients; one by one where any isn't finite, lest it spoil those of its neighbours."""
        found = self.numpy(self._loss.rows(*self._at, self._batches.take(indices))[0])
        if len(indices) == 1 or np.isfinite(found).all():
            return found
        return np.concatenate([self._rows(one) for one in indices[:, None]])

    def squared_norms(self, mask: float | FloatArray = 1.0) -> FloatArray:
        """Return the squared norms of all samples' gradients times a mask ``(P,)``, shape ``(N,)``."""
        if isinstance(mask, float) and mask == 1.0:
            parts_of_all = [
                squared_norms_of(self._arrays, self._layers(chunk)) for chunk in self._layer_chunks()
            ]
            found = np.concatenate(list(map(self.numpy, parts_of_all)))
            if np.isfinite(found).all():
                return found
        rows = max(1, _ROW_BYTES // (8 * self.n_parameters))
        parts = [np.arange(start, min(self.n, start + rows)) for start in range(0, self.n, rows)]
        return np.concatenate([((mask * self.gradients(part)) ** 2).sum(axis=1) for part in parts])

    def weighted_product(self, kind: CurvatureKind, weights: FloatArray, vectors: FloatArray) -> FloatArray:
        """Return the weighted sum of the samples' curvatures times vectors ``(K, P)``, but for weights of 0.

        Raises
        ------
        InvalidDataError
            If it is not finite; a sample is named where one is to blame.
        """
        product = {
            "hessian": self._loss.hessian_products,
            "gauss_newton": self._loss.gauss_newton_products,
        }[kind]
        directions = self._arrays.from_numpy(vectors if len(vectors) > 1 else vectors[0])
        total: Any = self._arrays.from_numpy(np.zeros(vectors.shape if len(vectors) > 1 else vectors[0].shape))
        for chunk in self.chunks(len(vectors)):
            kept = chunk[weights[chunk] != 0]
            if len(kept):
                part = self._arrays.from_numpy(weights[kept])
                total = total + product(*self._at, self._batches.take(kept), part, directions)
        found = self.numpy(total).reshape(vectors.shape)
        if not np.isfinite(found).all():
            raise self._curvature_fault(product, weights, vectors)
        return found

    def _curvature_fault(self, product: Any, weights: FloatArray, vectors: FloatArray) -> InvalidDataError:
        """Return the error for a product that isn't finite, having looked at the samples one by one."""
        if not np.isfinite(vectors).all():
            return InvalidDataError("a vector that the curvature is to be multiplied by is not finite")
        one, direction = self._arrays.from_numpy(np.ones(1)), self._arrays.from_numpy(vectors[0])
        for sample in np.flatnonzero(weights):
            found = product(*self._at, self._batches.take(np.array([sample])), one, direction)
            if not np.isfinite(self.numpy(found)).all():
                return InvalidDataError(
                    f"training sample {sample}: the curvature of its loss is not finite: look for a division "
                    "by 0, a root or a logarithm at 0 in the model or the loss, or leave it out (weight 0)"
                )
        return InvalidDataError("the curvature times a vector is not finite: the sum over samples overflows")

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

    def numpy(self, array: Any) -> FloatArray:
        """Return an array of the backend as one of NumPy, in float64."""
        return np.asarray(self._arrays.to_numpy(array), dtype=np.float64)


def layer_chunk_size(arrays: Arrays, blocks: Blocks) -> int:
    """Return how many samples' gradients by layer are held at a time, by those of one sample."""
    entries = sum(_entries(block) for block in blocks)
    return max(1, min(_CHUNK_SIZE, _BLOCK_BYTES // (np.dtype(arrays.dtype).itemsize * max(1, entries))))


def _entries(block: LayerGradients) -> int:
    if isinstance(block, LinearGradients):
        n_positions, n_groups, n_outputs, n_inputs = block.shape
        return n_positions * n_groups * (n_outputs + n_inputs)
    if isinstance(block, LookupGradients):
        return int(np.prod(tuple(map(int, block.outputs.shape[1:]))))
    return sum(size for _, size in block.spans)
