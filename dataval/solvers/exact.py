"""The dense matrix, factorised."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.linalg import LinAlgError, LinAlgWarning, cho_factor, cho_solve, lu_factor, lu_solve

from dataval.solvers.base import FloatArray, Inverse, Operator, Solution, Solver, finite

__all__ = ["Exact"]

_BLOCK = 256
_ACCURACY = 1e-6


class Exact(Solver):
    """Form the matrix column by column and factorise it.

    Costs P products, some :math:`P^3/3` operations and two dense matrices, once for any number of right-hand
    sides. For small models, for many right-hand sides, and as the judge of the other solvers.

    Parameters
    ----------
    max_parameters : int, default 10000
        Larger models are refused: a matrix of that order takes 800 MB.
    """

    name: Literal["exact"] = "exact"
    max_parameters: int = Field(default=10_000, gt=0)

    def check_size(self, n_parameters: int) -> None:
        """Raise `ValueError` if the model is too large."""
        if n_parameters > self.max_parameters:
            raise ValueError(
                f"solver='exact' forms a matrix of {n_parameters} x {n_parameters} numbers "
                f"({8e-9 * n_parameters**2:.1f} GB), more than max_parameters={self.max_parameters} allows: "
                "choose solver='cg', or train and value fewer parameters (Learner(params=...))"
            )

    def prepare(self, operator: Operator) -> Inverse:
        """Form and factorise the matrix."""
        return _Factorised(_dense(operator))


class _Factorised(Inverse):
    def __init__(self, matrix: FloatArray) -> None:
        self._matrix = matrix
        self._solve, self._is_definite = _factorise(matrix)

    def apply(self, vectors: FloatArray) -> Solution:
        """Solve by substitution."""
        found = self._solve(finite(vectors, "right-hand side").T).T
        norms = np.linalg.norm(vectors, axis=1)
        errors = np.linalg.norm(vectors - found @ self._matrix, axis=1)
        residuals = errors / np.where(norms > 0, norms, 1.0)
        return Solution(found, residuals, 0, self._problem(residuals))

    def _problem(self, residuals: FloatArray) -> str:
        if not (residuals <= _ACCURACY).all():
            return "the curvature is singular: use a positive damping"
        if not self._is_definite:
            return (
                "the curvature is not positive definite, so the parameters are no minimum: use a larger "
                "damping, curvature='gauss_newton', or train for longer"
            )
        return ""


def _dense(operator: Operator) -> FloatArray:
    matrix = np.empty((operator.size, operator.size))
    for start in range(0, operator.size, _BLOCK):
        rows = matrix[start : start + _BLOCK]
        rows[...] = finite(
            operator(np.eye(len(rows), operator.size, start)), "the product of the matrix with vector"
        )
    matrix += matrix.T.copy()
    matrix *= 0.5
    return matrix


def _factorise(matrix: FloatArray) -> tuple[Callable[[FloatArray], FloatArray], bool]:
    """Return what solves for columns, and whether the matrix is positive definite."""
    try:
        cholesky = cho_factor(matrix)
    except LinAlgError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)  # a singular matrix shows in the residuals
            factors = lu_factor(matrix)
        return lambda columns: lu_solve(factors, columns), False
    return lambda columns: cho_solve(cholesky, columns), True
