"""What is the same for the gradients of all kinds of layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import add

from dataval.backend.arrays import Array, Arrays

__all__ = ["LayerGradients", "Piece", "in_parts", "stacked", "summed"]

Piece = tuple[int, Array]
"""Where a part of the flat parameter vector starts, and what belongs there, along the last axis."""

_ENTRIES = 2**23  # of what is formed on the way that are held at a time


class LayerGradients(ABC):
    """The gradients of n samples in the parameters of one layer.

    Attributes
    ----------
    name : str
        Of the layer, for messages.
    """

    name: str

    @abstractmethod
    def __len__(self) -> int:
        """Return the number n of samples."""

    @abstractmethod
    def part(self, rows: slice) -> LayerGradients:
        """Return those of some of the samples."""

    @property
    @abstractmethod
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of each parameter in the flat vector: what tells a layer from others."""

    @abstractmethod
    def pieces(self, arrays: Arrays) -> list[Piece]:
        """Return the gradients ``(n, size)``, in the order of `spans`."""

    def write(self, arrays: Arrays, rows: Array) -> None:
        """Write the gradients where they belong in rows ``(n, P)``."""
        for (start, size), (_, found) in zip(self.spans, self.pieces(arrays), strict=True):
            rows[:, start : start + size] = found

    @abstractmethod
    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Return the sums ``(size,)`` of the gradients times the samples' weights ``(n,)``."""

    def slopes(self, arrays: Arrays, vectors: Array) -> Array:
        """Return the inner products ``(K, n)`` with the layer's part of vectors ``(K, P)``."""
        parts = in_parts(len(self), sum(size for _, size in self.spans))
        return arrays.concatenate([self.part(rows)._slopes_by_pieces(arrays, vectors) for rows in parts])

    def _slopes_by_pieces(self, arrays: Arrays, vectors: Array) -> Array:
        return summed(
            arrays.outer(vectors[:, start : start + size], rows)
            for (start, size), (_, rows) in zip(self.spans, self.pieces(arrays), strict=True)
        )

    def inner(self, arrays: Arrays, other: LayerGradients) -> Array:
        """Return the inner products ``(n, m)`` with the gradients of m other samples in the same layer."""
        size = sum(size for _, size in self.spans)
        mine = [self.part(rows) for rows in in_parts(len(self), size)]
        theirs = [other.part(rows) for rows in in_parts(len(other), size)]
        return stacked(
            arrays, [arrays.concatenate([_by_pieces(arrays, one, two) for two in theirs]) for one in mine]
        )

    def squared_norms(self, arrays: Arrays) -> Array:
        """Return the squared norms ``(n,)``."""
        return summed(arrays.inner(rows, rows)[:, 0] for _, rows in self.pieces(arrays))


def _by_pieces(arrays: Arrays, left: LayerGradients, right: LayerGradients) -> Array:
    pairs = zip(left.pieces(arrays), right.pieces(arrays), strict=True)
    return summed(arrays.outer(mine, theirs) for (_, mine), (_, theirs) in pairs)


def in_parts(n: int, entries_each: int) -> Iterator[slice]:
    """Split n samples so that what is formed for each stays within a budget."""
    size = max(1, _ENTRIES // max(1, entries_each))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def stacked(arrays: Arrays, blocks: Sequence[Array]) -> Array:
    """Join ``(n, m)`` along the first axis."""
    if len(blocks) == 1:
        return blocks[0]
    return arrays.einsum("ml->lm", arrays.concatenate([arrays.einsum("lm->ml", block) for block in blocks]))


def summed(parts: Iterable[Array]) -> Array:
    """Add arrays up."""
    return reduce(add, parts)
