r"""The objective whose minimum a run seeks, its curvature, and the slopes of its samples.

Averaged over an epoch, the updates of a run follow the gradient of

.. math:: G(\theta) = s\sum_j w_j\,\ell_j(\theta) + \frac{\lambda}{2}\lVert\theta\rVert^2

with :math:`\lambda` the coupled weight decay and :math:`s = 1/N` where the batches of an epoch are full (with
a short last batch, which weight decay sees like any other, s is 1 over the number of updates in an epoch times
the batch size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.training.program import Program, State

__all__ = ["Curvature", "CurvatureKind", "TrainingSamples", "sample_scale"]

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
        self._backend = program.backend
        self._batches = program.backend.batches(program.data)
        self._state = state
        self._chunk_size = chunk_size or _CHUNK_SIZE
        self.n = len(program.data)
        self.n_parameters = program.backend.signature.n_parameters

    def slopes(self, vectors: FloatArray) -> FloatArray:
        r"""Return :math:`\langle v, \nabla\ell_j\rangle` along vectors ``(K, P)``, shape ``(K, N)``."""
        directions = self._backend.from_numpy(vectors)
        parts = [
            self._backend.objective_jvp(*self._at, self._batches.take(chunk), directions, None)
            for chunk in self.chunks()
        ]
        return np.concatenate([self._numpy(part) for part in parts], axis=-1)

    def gradients(self, indices: NDArray[np.int64]) -> FloatArray:
        """Return the gradients ``(n, P)`` of some samples' losses."""
        rows, _ = self._backend.objective_gradients(*self._at, self._batches.take(indices), None)
        return self._numpy(rows)

    def squared_norms(self) -> FloatArray:
        """Return the squared norms of all samples' gradients, shape ``(N,)``."""
        rows = max(1, _ROW_BYTES // (8 * self.n_parameters))
        parts = [np.arange(start, min(self.n, start + rows)) for start in range(0, self.n, rows)]
        return np.concatenate([(self.gradients(part) ** 2).sum(axis=1) for part in parts])

    def weighted_product(self, kind: CurvatureKind, weights: FloatArray, vectors: FloatArray) -> FloatArray:
        """Return the weighted sum of the samples' curvatures times vectors ``(K, P)``."""
        product = {
            "hessian": self._backend.hessian_vector_product,
            "gauss_newton": self._backend.gauss_newton_vector_product,
        }[kind]
        directions = self._backend.from_numpy(vectors if len(vectors) > 1 else vectors[0])
        total: Any = 0.0
        for chunk in self.chunks(len(vectors)):
            part = self._backend.from_numpy(weights[chunk])
            total = total + product(*self._at, self._batches.take(chunk), part, directions)
        return self._numpy(total).reshape(vectors.shape)

    def check_gauss_newton(self) -> None:
        """Raise `InvalidModelError` if the model has no Gauss-Newton matrix."""
        few = next(self.chunks())[:2]
        nothing = self._backend.from_numpy(np.zeros(len(few)))
        vector = self._backend.from_numpy(np.zeros(self.n_parameters))
        self._backend.gauss_newton_vector_product(*self._at, self._batches.take(few), nothing, vector)

    def chunks(self, n_vectors: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield the indices of all samples, some at a time."""
        size = max(1, min(self._chunk_size, _CHUNK_ROWS // n_vectors))
        for start in range(0, self.n, size):
            yield np.arange(start, min(self.n, start + size))

    @property
    def _at(self) -> tuple[Any, Any]:
        return self._state.parameters, self._state.buffers

    def _numpy(self, array: Any) -> FloatArray:
        return np.asarray(self._backend.to_numpy(array), dtype=np.float64)


class Curvature:
    r"""The matrix :math:`s\sum_j w_j C_j + (\lambda + \text{damping}) I`, as products with vectors.

    Parameters
    ----------
    samples : TrainingSamples
    program : Program
        Gives the weights, the scale s and the coupled weight decay.
    kind : {"hessian", "gauss_newton"}
        What :math:`C_j` is of sample j's loss.
    damping : float
    tick : callable, optional
        Called after every product with the number of vectors.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        program: Program,
        kind: CurvatureKind,
        damping: float,
        tick: Callable[[int], Any] | None = None,
    ) -> None:
        self._samples, self._kind = samples, kind
        self._weights = program.weights * sample_scale(program)
        self._diagonal = program.training.optimizer.coupled_decay + damping
        self.tick = tick
        self.size = samples.n_parameters

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Return the products of vectors ``(K, P)``."""
        products = self._samples.weighted_product(self._kind, self._weights, vectors)
        if self.tick is not None:
            self.tick(len(vectors))
        return products + self._diagonal * vectors

    def fisher_diagonal(self) -> FloatArray:
        r"""Return :math:`s\sum_j w_j (\nabla\ell_j)^2` plus the diagonal terms, shape ``(P,)``."""
        total = np.full(self.size, self._diagonal)
        rows = max(1, 2**25 // self.size)
        for chunk in self._samples.chunks():
            for start in range(0, len(chunk), rows):
                part = chunk[start : start + rows]
                total += self._weights[part] @ self._samples.gradients(part) ** 2
        return total


def sample_scale(program: Program) -> float:
    """Return the factor s of a sample's loss in the objective that the run minimises."""
    plan = program.plan
    return len(plan.order) / (plan.n_samples * plan.batch_size * plan.n_steps)
