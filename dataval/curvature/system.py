"""The linear system of influence functions: one matrix, and the slopes that its solutions are turned into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array
from dataval.curvature.operator import Curvature
from dataval.objectives.training import TrainingSamples
from dataval.solvers.base import FloatArray, Solution, Solver

__all__ = ["LinearSystem"]

_BLOCK_BYTES = 2**27  # one of a solver's arrays of many right-hand sides
_MAX_BLOCK = 256


class LinearSystem:
    """Answers what influence functions ask of the matrix A, and keeps account of how that went.

    Parameters
    ----------
    solver : Solver
    curvature : Curvature
        A.
    samples : TrainingSamples
    scale : float
        The factor s of a sample's loss.
    """

    def __init__(self, solver: Solver, curvature: Curvature, samples: TrainingSamples, scale: float) -> None:
        self._inverse = solver.prepare(curvature)
        self._samples, self._scale = samples, scale
        self._solutions: list[tuple[FloatArray, int]] = []
        self.problems: set[str] = set()

    def values(self, parts: Sequence[Array]) -> FloatArray:
        r"""Return :math:`s\,v^\top A^{-1}\nabla\ell_j` for vectors in parts ``(k, P)`` and all samples."""
        vectors = np.concatenate([self._samples.numpy(part) for part in parts])
        solution = self._inverse.apply(vectors)
        self._note(solution)
        return self._scale * self._samples.slopes(solution.vectors)

    def own(self) -> tuple[FloatArray, FloatArray]:
        r"""Return :math:`\nabla\ell_j^\top A^{-1}\nabla\ell_j` and :math:`\lVert A^{-1}\nabla\ell_j\rVert`.

        NaN for samples of weight 0 without a finite gradient.
        """
        energies, norms = np.full((2, self._samples.n), np.nan)
        for every in self.blocks(self._samples.n):
            gradients = self._samples.gradients(every)
            is_finite = np.isfinite(gradients).all(axis=1)
            block, gradients = every[is_finite], gradients[is_finite]
            solution = self._inverse.apply(gradients)
            self.problems |= {solution.problem} - {""}
            energies[block] = np.einsum("kp,kp->k", gradients, solution.vectors)
            norms[block] = np.linalg.norm(solution.vectors, axis=1)
        return energies, norms

    def blocks(self, n: int) -> Iterator[NDArray[np.int64]]:
        """Split n right-hand sides so that a solver's arrays stay within a memory budget."""
        size = max(1, min(_MAX_BLOCK, _BLOCK_BYTES // (8 * self._samples.n_parameters)))
        for start in range(0, n, size):
            yield np.arange(start, min(n, start + size))

    def diagnostics(self) -> dict[str, Any]:
        """Return residuals, iterations and whether all converged."""
        residuals = [residual for residual, _ in self._solutions]
        return {
            "residuals": np.concatenate(residuals) if residuals else np.empty(0),
            "iterations": max((n for _, n in self._solutions), default=0),
            "converged": not self.problems,
        }

    def _note(self, solution: Solution) -> None:
        self._solutions.append((solution.residuals, solution.iterations))
        if solution.problem:
            self.problems.add(solution.problem)
