"""The gradients of parameters that are no matrix, and of those that are used in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers.base import LayerGradients, Piece, summed

__all__ = ["PlainGradients", "TiedGradients"]


@dataclass(frozen=True)
class PlainGradients(LayerGradients):
    """Of parameters that are no matrix, sample by sample: scales and shifts, or what isn't known as a layer.

    Attributes
    ----------
    name : str
    rows : array, shape (n, size)
    start : int
        Where the parameter starts in the flat vector.
    is_elementwise : bool
        Whether it multiplies or shifts entries one by one, so that a diagonal curvature is natural.
    """

    name: str
    rows: Array
    start: int
    is_elementwise: bool = False

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.rows.shape[0])

    def part(self, rows: slice) -> PlainGradients:
        """Return those of some of the samples."""
        return PlainGradients(self.name, self.rows[rows], self.start, self.is_elementwise)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of the parameter."""
        return ((self.start, int(self.rows.shape[-1])),)

    def pieces(self, arrays: Arrays) -> list[Piece]:
        """Return what is kept."""
        return [(self.start, self.rows)]

    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Add up over samples."""
        return [(self.start, arrays.einsum("jp,j->p", self.rows, weights))]


@dataclass(frozen=True)
class TiedGradients(LayerGradients):
    """Of one parameter that is used in several ways: an embedding whose table is also the last layer's matrix.

    Attributes
    ----------
    uses : sequence of LayerGradients
        All of the same span.
    """

    uses: Sequence[LayerGradients]

    @property
    def name(self) -> str:  # type: ignore[override]
        """Of the first use."""
        return self.uses[0].name

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.uses[0])

    def part(self, rows: slice) -> TiedGradients:
        """Return those of some of the samples."""
        return TiedGradients([use.part(rows) for use in self.uses])

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of the parameter."""
        return self.uses[0].spans

    def pieces(self, arrays: Arrays) -> list[Piece]:
        """Add up what each use gives."""
        return [(self.spans[0][0], summed(use.pieces(arrays)[0][1] for use in self.uses))]

    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Add up what each use gives."""
        return [(self.spans[0][0], summed(use.total(arrays, weights)[0][1] for use in self.uses))]

    def slopes(self, arrays: Arrays, vectors: Array) -> Array:
        """Add up what each use gives."""
        return summed(use.slopes(arrays, vectors) for use in self.uses)
