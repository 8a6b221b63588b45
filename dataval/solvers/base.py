"""What a solver is: options that turn a symmetric matrix, known by its products, into its inverse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from dataval.options import Options

__all__ = ["FloatArray", "Inverse", "Operator", "Solution", "Solver", "finite", "relative_residuals"]

FloatArray = NDArray[np.float64]


class Operator(Protocol):
    """A symmetric matrix A of order `size`, as a function from vectors ``(K, P)`` to their products."""

    size: int

    def __call__(self, vectors: FloatArray, /) -> FloatArray:
        """Return A times every vector."""

    def fisher_diagonal(self) -> FloatArray:
        """Return an approximation of A's diagonal, shape ``(P,)``."""


@dataclass(frozen=True)
class Solution:
    """What a solver found for K right-hand sides.

    Attributes
    ----------
    vectors : ndarray of float64, shape (K, P)
    residuals : ndarray of float64, shape (K,)
        Norms of ``b - A x`` relative to those of b.
    iterations : int
        Number of iterations, the most of all K.
    problem : str
        What kept the solver from converging and what to do, or "" where it converged.
    """

    vectors: FloatArray
    residuals: FloatArray
    iterations: int
    problem: str = ""


class Inverse(ABC):
    """An approximate inverse of one matrix, to be applied to many vectors."""

    @abstractmethod
    def apply(self, vectors: FloatArray) -> Solution:
        """Return the inverse times vectors ``(K, P)``."""


class Solver(Options, ABC):
    """The options of a solver.

    Subclasses implement `prepare`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str

    def check_size(self, n_parameters: int) -> None:
        """Raise `ValueError` if a matrix of this order is too large for the solver."""

    @abstractmethod
    def prepare(self, operator: Operator) -> Inverse:
        """Do what serves all right-hand sides at once."""


def relative_residuals(operator: Operator, solutions: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return the norms of ``b - A x`` over those of b, 0 where b is 0."""
    norms = np.linalg.norm(vectors, axis=1)
    residuals = np.linalg.norm(vectors - operator(solutions), axis=1)
    return np.asarray(residuals / np.where(norms > 0, norms, 1.0))


def finite(array: FloatArray, what: str) -> FloatArray:
    """Return an array whose entries are all finite.

    Raises
    ------
    ValueError
        If one isn't: comparisons with NaN are false, so a solver would take it for converged.
    """
    if np.isfinite(array).all():
        return array
    row = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
    raise ValueError(f"{what} {row} is not finite: no linear system can be solved with it")
