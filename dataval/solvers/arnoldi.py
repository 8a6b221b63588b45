"""The inverse on the leading eigenvectors (Schioppa et al., 2022)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.linalg import eigh_tridiagonal

from dataval.solvers.base import FloatArray, Inverse, Operator, Solution, Solver, finite, relative_residuals

__all__ = ["Arnoldi"]

_BREAKDOWN = 1e-10


class Arnoldi(Solver):
    r"""Keep the eigenpairs of largest magnitude in a Krylov space: :math:`A^{-1} \approx U\Lambda^{-1}U^\top`.

    The space is built once from a random vector, by as many products as it has dimensions; for symmetric
    matrices Arnoldi's iteration is Lanczos', here with full orthogonalisation. Any number of right-hand sides
    then costs inner products alone. What lies outside of the leading eigenvectors is dropped, not damped, so
    values differ from those of the other solvers unless the rank is full: choose it for many right-hand sides
    and large models. Where more is dropped than the tolerance, a `SolverWarning` says how much.

    Parameters
    ----------
    rank : int, default 50
        Number of eigenpairs kept.
    n_iterations : int, default 100
        Dimension of the Krylov space; `rank` if that is larger.
    tolerance : float, default 0.05
        What the kept eigenvectors may leave of a right-hand side, as a share of its norm, without a warning.
    seed : int, default 0
        Draws the starting vector.

    References
    ----------
    Schioppa, Zablotskaia, Vilar & Sokolov (2022). Scaling up influence functions. AAAI.
    """

    name: Literal["arnoldi"] = "arnoldi"
    rank: int = Field(default=50, gt=0)
    n_iterations: int = Field(default=100, gt=0)
    tolerance: float = Field(default=0.05, gt=0)
    seed: int = Field(default=0, ge=0)

    def prepare(self, operator: Operator) -> Inverse:
        """Find the leading eigenpairs."""
        n = min(max(self.n_iterations, self.rank), operator.size)
        basis, diagonal, off_diagonal = _tridiagonalise(operator, n, np.random.default_rng(self.seed))
        eigenvalues, weights = eigh_tridiagonal(diagonal, off_diagonal)
        sizes = np.abs(eigenvalues)
        kept = np.argsort(-sizes)[: self.rank]
        kept = kept[sizes[kept] > _BREAKDOWN * sizes.max()]
        return _LowRank(operator, eigenvalues[kept], weights[:, kept].T @ basis, self.tolerance)


class _LowRank(Inverse):
    def __init__(
        self, operator: Operator, eigenvalues: FloatArray, eigenvectors: FloatArray, tolerance: float
    ) -> None:
        self._operator, self._tolerance = operator, tolerance
        self._eigenvalues, self._eigenvectors = eigenvalues, eigenvectors

    def apply(self, vectors: FloatArray) -> Solution:
        """Divide the coordinates along the eigenvectors by the eigenvalues."""
        found = (
            finite(vectors, "right-hand side") @ self._eigenvectors.T / self._eigenvalues
        ) @ self._eigenvectors
        residuals = relative_residuals(self._operator, found, vectors)
        return Solution(found, residuals, len(self._eigenvalues), self._problem(residuals))

    def _problem(self, residuals: FloatArray) -> str:
        worst = float(residuals.max(initial=0.0))
        if worst <= self._tolerance:
            return ""
        return (
            f"the {len(self._eigenvalues)} eigenvectors that Arnoldi keeps leave a residual of {worst:.0%} of "
            f"the right-hand side, more than its tolerance of {self._tolerance:.0%}: use a larger rank and "
            "n_iterations, or solver='cg'"
        )


def _tridiagonalise(
    operator: Operator, n: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return an orthonormal basis ``(n, P)`` in which the matrix is tridiagonal, and its two diagonals.

    Where the Krylov space is exhausted, a new random vector goes on in its complement.
    """
    basis, diagonal, off_diagonal = np.zeros((n, operator.size)), np.zeros(n), np.zeros(n - 1)
    basis[0] = _unit(rng.standard_normal(operator.size), basis[:0])
    for i in range(n):
        product = finite(operator(basis[i : i + 1]), "the product of the matrix with vector")[0]
        diagonal[i] = product @ basis[i]
        if i + 1 == n:
            break
        rest = _orthogonal(product, basis[: i + 1])
        norm = float(np.linalg.norm(rest))
        if norm > _BREAKDOWN * np.linalg.norm(product):
            off_diagonal[i], basis[i + 1] = norm, rest / norm
        else:
            basis[i + 1] = _unit(rng.standard_normal(operator.size), basis[: i + 1])
    return basis, diagonal, off_diagonal


def _orthogonal(vector: FloatArray, basis: FloatArray) -> FloatArray:
    """Remove a basis from a vector, twice, as once leaves rounding errors."""
    for _ in range(2):
        vector = vector - (basis @ vector) @ basis
    return vector


def _unit(vector: FloatArray, basis: FloatArray) -> FloatArray:
    rest = _orthogonal(vector, basis)
    return np.asarray(rest / np.linalg.norm(rest))
