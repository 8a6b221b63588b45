"""The curvature of one layer by its eigenvectors and eigenvalues, whatever kind of layer it is.

What a kind has to know is how gradients look in the basis of its eigenvectors; all else follows. Arrays are
NumPy's of float64 where they are found and kept, and the framework's where they are applied (`placed`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, Piece, PlainGradients

__all__ = ["EntrySpectrum", "Spectrum"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum(ABC):
    """Eigenvectors and eigenvalues of a layer's block of the curvature.

    Attributes
    ----------
    name : str
        Of the layer.
    eigenvalues : ndarray of float64
        In the shape that gradients have in the basis.
    """

    name: str
    eigenvalues: FloatArray

    kind: ClassVar[str]
    """What a file calls it."""

    bases: ClassVar[tuple[str, ...]] = ()
    """The attributes that hold eigenvectors, as columns."""

    @property
    @abstractmethod
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of the layer's parameters in the flat vector."""

    @abstractmethod
    def into(self, arrays: Arrays, vectors: Array) -> Array:
        """Return the coordinates ``(K, *shape)`` of vectors ``(K, P)``."""

    @abstractmethod
    def out_of(self, arrays: Arrays, coordinates: Array) -> list[Piece]:
        """Return vectors by their coordinates ``(K, *shape)``, parameter by parameter."""

    def fits(self, block: LayerGradients) -> bool:
        """Whether gradients are of this layer, in the form in which its spectrum was found."""
        return block.spans == self.spans

    @abstractmethod
    def turned(self, arrays: Arrays, block: LayerGradients) -> LayerGradients:
        """Return gradients in the basis: of a vector that holds their coordinates and nothing else."""

    def turned_rows(self, arrays: Arrays, rows: Array) -> LayerGradients:
        """As `turned`, of gradients in all parameters ``(n, P)``."""
        return PlainGradients(self.name, arrays.reshape(self.into(arrays, rows), (len(rows), -1)), 0)

    @abstractmethod
    def of_diagonal(self, diagonal: FloatArray) -> FloatArray:
        """Return the diagonal in the basis of a matrix that is diagonal ``(P,)`` in the parameters."""

    def placed(self, arrays: Arrays) -> Self:
        """Return the same with eigenvectors where the framework computes."""
        changes: dict[str, Any] = {name: arrays.from_numpy(getattr(self, name)) for name in self.bases}
        return replace(self, **changes) if changes else self

    def described(self) -> dict[str, Any]:
        """Return what isn't an array, fit for JSON."""
        names = {field.name for field in fields(self)} - {"eigenvalues", *self.bases}
        return {"kind": self.kind, **{name: getattr(self, name) for name in sorted(names)}}


@dataclass(frozen=True)
class EntrySpectrum(Spectrum):
    """Of parameters that are independent of each other: their eigenvectors are the parameters themselves.

    Attributes
    ----------
    start : int
        Where they start in the flat vector.
    rule : str
        ``"elementwise"`` for a layer whose curvature this is, ``"diagonal"`` or ``"identity"`` for what isn't
        covered.
    """

    start: int
    rule: str

    kind: ClassVar[str] = "entries"

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size."""
        return ((self.start, self.eigenvalues.size),)

    def into(self, arrays: Arrays, vectors: Array) -> Array:
        """Cut the parameters out."""
        return vectors[:, self.start : self.start + self.eigenvalues.size]

    def out_of(self, arrays: Arrays, coordinates: Array) -> list[Piece]:
        """Return them as they are."""
        return [(self.start, coordinates)]

    def turned(self, arrays: Arrays, block: LayerGradients) -> LayerGradients:
        """Return the gradients."""
        ((_, rows),) = block.pieces(arrays)
        return PlainGradients(self.name, rows, 0)

    def of_diagonal(self, diagonal: FloatArray) -> FloatArray:
        """Cut the parameters out."""
        return diagonal[self.start : self.start + self.eigenvalues.size]
