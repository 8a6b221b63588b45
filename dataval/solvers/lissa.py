"""The Neumann series of the inverse (LiSSA: Agarwal, Bullins & Hazan, 2017)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from dataval.errors import SolverDivergedError
from dataval.solvers.base import FloatArray, Inverse, Operator, Solution, Solver, finite

__all__ = ["LiSSA"]

_POWER_ITERATIONS = 10
_MARGIN = 1.2  # by how much power iterations may fall short of the largest eigenvalue
_DIVERGED = 1e3


class LiSSA(Solver):
    r"""Sum the series :math:`A^{-1} b = \frac1\sigma\sum_i (I - A/\sigma)^i\, b`, one product a term.

    It converges where all eigenvalues of A lie between 0 and :math:`2\sigma`, by a factor of
    :math:`1 - \lambda_{\min}/\sigma` a term: slower than conjugate gradients, which take the same products.
    Unlike the original, whose products are with the curvature of random samples, every term here uses all
    samples, so that values don't depend on a batch size or a seed.

    Parameters
    ----------
    scale : float, optional
        :math:`\sigma`; by default a little more than the largest eigenvalue, from some power iterations.
    tolerance : float, default 1e-2
        Stop when the residual's norm is at most this share of the right-hand side's.
    max_iterations : int, default 1000
    """

    name: Literal["lissa"] = "lissa"
    scale: float | None = Field(default=None, gt=0)
    tolerance: float = Field(default=1e-2, gt=0, lt=1)
    max_iterations: int = Field(default=1000, gt=0)

    def prepare(self, operator: Operator) -> Inverse:
        """Find the scale."""
        return _Series(self, operator, self.scale or _MARGIN * _largest_eigenvalue(operator))


class _Series(Inverse):
    def __init__(self, options: LiSSA, operator: Operator, scale: float) -> None:
        self._options, self._operator, self._scale = options, operator, scale

    def apply(self, vectors: FloatArray) -> Solution:
        """Add terms until the last right-hand side has converged."""
        norms = np.linalg.norm(finite(vectors, "right-hand side"), axis=1)
        solutions, residuals = np.zeros_like(vectors), vectors.copy()
        relative = np.where(norms > 0, 1.0, 0.0)
        active, n = np.flatnonzero(norms > 0), 0
        while len(active) and n < self._options.max_iterations:
            n += 1
            solutions[active] += residuals[active] / self._scale
            residuals[active] -= self._operator(residuals[active]) / self._scale
            relative[active] = np.linalg.norm(residuals[active], axis=1) / norms[active]
            self._check(float(relative.max()), n)
            active = active[relative[active] > self._options.tolerance]
        return Solution(solutions, relative, n, self._problem(len(active)))

    def _check(self, residual: float, n: int) -> None:
        if not residual < _DIVERGED:
            raise SolverDivergedError(
                f"the series of LiSSA diverged: after {n} terms the residual is {residual:.1e} times the "
                f"right-hand side, with scale={self._scale:.3g}. The curvature has negative eigenvalues (use "
                "curvature='gauss_newton' or a larger damping), or the scale is below half the largest "
                "(leave it out)"
            )

    def _problem(self, n_unfinished: int) -> str:
        if not n_unfinished:
            return ""
        return (
            f"the series of LiSSA did not converge to a tolerance of {self._options.tolerance:g} in "
            f"{self._options.max_iterations} terms: use a larger damping, or solver='cg', which needs fewer"
        )


def _largest_eigenvalue(operator: Operator) -> float:
    """Estimate the largest absolute eigenvalue from below."""
    vector = np.random.default_rng(0).standard_normal((1, operator.size))
    size = 0.0
    for _ in range(_POWER_ITERATIONS):
        vector = finite(operator(vector / np.linalg.norm(vector)), "the product of the matrix with vector")
        size = float(np.linalg.norm(vector))
        if size == 0:
            raise ValueError("the curvature is zero: use a positive damping")
    return size
