"""Conjugate gradients (Hestenes & Stiefel, 1952), for many right-hand sides side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field

from dataval.solvers.base import FloatArray, Inverse, Operator, Solution, Solver, finite

__all__ = ["ConjugateGradient"]

_PRODUCT = "the product of the matrix with vector"

Preconditioner = Callable[[FloatArray], FloatArray]


class ConjugateGradient(Solver):
    r"""Minimise :math:`\tfrac12 x^\top A x - b^\top x` along conjugate directions, one product an iteration.

    The error falls by about :math:`(\sqrt\kappa - 1)/(\sqrt\kappa + 1)` an iteration, with :math:`\kappa` the
    ratio of A's largest and smallest eigenvalue: a larger damping converges faster. A must be positive
    definite; where a direction of negative curvature is met, the solver stops there and says so.

    Parameters
    ----------
    tolerance : float, default 1e-7
        Stop when the residual's norm is at most this share of the right-hand side's. The solution of a mean of
        right-hand sides is the mean of their solutions up to about as much; 1e-2 takes a third to a half of the
        iterations, where a percent does not matter.
    max_iterations : int, default 200
    preconditioner : "fisher" or callable, optional
        ``"fisher"`` divides by the diagonal of the weighted sum of squared per-sample gradients, which costs
        about as much as a few products; a function maps residuals ``(K, P)`` to preconditioned ones, by
        a symmetric positive definite matrix.
    """

    name: Literal["cg"] = "cg"
    tolerance: float = Field(default=1e-7, gt=0, lt=1)
    max_iterations: int = Field(default=200, gt=0)
    preconditioner: Literal["fisher"] | Preconditioner | None = None

    def prepare(self, operator: Operator) -> Inverse:
        """Make the preconditioner."""
        return _Iteration(self, operator, self._preconditioner(operator))

    def _preconditioner(self, operator: Operator) -> Preconditioner:
        if self.preconditioner is None:
            return lambda residuals: residuals
        if callable(self.preconditioner):
            return self.preconditioner
        diagonal = operator.fisher_diagonal()
        diagonal = diagonal + np.finfo(np.float64).eps * diagonal.max()
        return lambda residuals: residuals / diagonal


class _Iteration(Inverse):
    def __init__(self, options: ConjugateGradient, operator: Operator, precondition: Preconditioner) -> None:
        self._options, self._operator, self._precondition = options, operator, precondition

    def apply(self, vectors: FloatArray) -> Solution:
        """Iterate until every right-hand side has converged; what has is left alone from then on."""
        solutions, residuals = np.zeros_like(vectors), finite(vectors, "right-hand side").copy()
        goals = self._options.tolerance * np.linalg.norm(vectors, axis=1)
        active = np.flatnonzero(np.linalg.norm(residuals, axis=1) > goals)
        directions = finite(self._precondition(residuals), "the preconditioner's result").copy()
        energies = _rowwise(residuals, directions)
        bent, n = 0, 0
        while len(active) and n < self._options.max_iterations:
            n += 1
            along = directions[active]
            products = finite(self._operator(along), _PRODUCT)
            curvatures = _rowwise(along, products)
            fine = curvatures > 0
            bent += int((~fine).sum())
            active, along, products = active[fine], along[fine], products[fine]
            steps = (energies[active] / curvatures[fine])[:, None]
            solutions[active] += steps * along
            residuals[active] -= steps * products
            active = active[~(np.linalg.norm(residuals[active], axis=1) <= goals[active])]
            preconditioned = finite(self._precondition(residuals[active]), "the preconditioner's result")
            before, energies[active] = energies[active], _rowwise(residuals[active], preconditioned)
            directions[active] = preconditioned + (energies[active] / before)[:, None] * directions[active]
        return Solution(solutions, _relative(residuals, vectors), n, self._problem(bent, len(active)))

    def _problem(self, n_bent: int, n_unfinished: int) -> str:
        if n_bent:
            return (
                "a direction of negative curvature was met, so the parameters are no minimum: use "
                "curvature='gauss_newton' or a larger damping"
            )
        if n_unfinished:
            return (
                f"conjugate gradients did not converge to a tolerance of {self._options.tolerance:g} in "
                f"{self._options.max_iterations} iterations: use a larger damping, or "
                "ConjugateGradient(max_iterations=..., preconditioner='fisher')"
            )
        return ""


def _rowwise(left: FloatArray, right: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("kp,kp->k", left, right))


def _relative(residuals: FloatArray, vectors: FloatArray) -> FloatArray:
    norms = np.linalg.norm(vectors, axis=1)
    return np.asarray(np.linalg.norm(residuals, axis=1) / np.where(norms > 0, norms, 1.0))
