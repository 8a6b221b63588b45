"""No curvature at all."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dataval.solvers.base import FloatArray, Inverse, Operator, Solution, Solver, finite

__all__ = ["Identity"]


class Identity(Solver):
    """Take the identity for the matrix: values are inner products of gradients (Charpiat et al., 2019)."""

    name: Literal["identity"] = "identity"

    def prepare(self, operator: Operator) -> Inverse:
        """Do nothing."""
        return _Unchanged()


class _Unchanged(Inverse):
    def apply(self, vectors: FloatArray) -> Solution:
        """Return the vectors themselves."""
        return Solution(finite(vectors, "right-hand side"), np.zeros(len(vectors)), 0)
