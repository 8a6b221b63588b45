"""Per-sample gradients in fewer numbers: as they are, or under one random projection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Arrays
from dataval.backend.layers import Blocks, rows_of
from dataval.curvature.projections import ProjectionKind, RandomProjection

__all__ = ["Compression", "Uncompressed", "UnderProjection", "projected"]


class Compression(ABC):
    """A linear map of gradients ``(P,)`` to fewer numbers.

    Attributes
    ----------
    size : int
        How many.
    plain_size : int
        Number of parameters of which a sample's gradient is formed on the way.
    """

    size: int
    plain_size: int

    @abstractmethod
    def rows(self, arrays: Arrays, blocks: Blocks) -> NDArray[Any]:
        """Return the gradients of n samples, ``(n, size)``, in the arrays' dtype."""

    @abstractmethod
    def vectors(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return vectors ``(m, P)`` under the same map, ``(m, size)``."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """Return what tells it from others, fit for JSON."""


class Uncompressed(Compression):
    """All P numbers.

    Parameters
    ----------
    n_parameters : int
    """

    def __init__(self, n_parameters: int) -> None:
        self.size = self.plain_size = n_parameters

    def rows(self, arrays: Arrays, blocks: Blocks) -> NDArray[Any]:
        """Return the gradients."""
        return arrays.to_numpy(rows_of(arrays, blocks))

    def vectors(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the vectors."""
        return vectors

    def description(self) -> dict[str, Any]:
        """Say that there is none."""
        return {"compression": "none"}


class UnderProjection(Compression):
    """One random matrix for all parameters.

    Parameters
    ----------
    n_parameters : int
    dimension : int
    seed : int
    kind : {"sparse", "rademacher"}
    """

    def __init__(self, n_parameters: int, dimension: int, seed: int, kind: ProjectionKind) -> None:
        self.size, self.plain_size = dimension, n_parameters
        self._projection = RandomProjection(n_parameters, dimension, seed, kind)
        self._described = {"compression": kind, "dimension": dimension, "seed": seed}

    def rows(self, arrays: Arrays, blocks: Blocks) -> NDArray[Any]:
        """Form the gradients and project them."""
        return self._projection(arrays.to_numpy(rows_of(arrays, blocks)))

    def vectors(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project the vectors."""
        return self._projection(vectors)

    def description(self) -> dict[str, Any]:
        """Name kind, dimension and seed."""
        return self._described


def projected(n_parameters: int, dimension: int, seed: int, kind: ProjectionKind = "sparse") -> Compression:
    """Return a random projection; none where it would take as many numbers as there are parameters."""
    if dimension >= n_parameters:
        return Uncompressed(n_parameters)
    return UnderProjection(n_parameters, dimension, seed, kind)
