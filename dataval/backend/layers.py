r"""The gradients of a batch's samples, in the form in which layers have them.

A layer that multiplies its inputs by a matrix has the gradient :math:`G_j = \sum_t \delta_{jt} a_{jt}^\top` in
sample j's loss, with a its inputs and :math:`\delta` the gradient in its outputs, over the positions t at
which the matrix is used. Inner products, norms, weighted sums and Kronecker factors follow from the two,
mostly without the products ever being formed for each sample.

Everything here is a function of such blocks and of the framework's `Arrays`; a framework only fills them in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays

__all__ = [
    "Blocks",
    "LayerGradients",
    "LinearGradients",
    "LookupGradients",
    "PlainGradients",
    "TiedGradients",
    "compact",
    "gradient_of",
    "inner_products",
    "plain_gradients",
    "rows_of",
    "slopes_along",
    "squared_norms_of",
]

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

    @abstractmethod
    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Return the sums ``(size,)`` of the gradients times the samples' weights ``(n,)``."""

    def slopes(self, arrays: Arrays, vectors: Array) -> Array:
        """Return the inner products ``(K, n)`` with the layer's part of vectors ``(K, P)``."""
        parts = _parts(len(self), sum(size for _, size in self.spans))
        return arrays.concatenate([self.part(rows)._slopes_by_pieces(arrays, vectors) for rows in parts])

    def _slopes_by_pieces(self, arrays: Arrays, vectors: Array) -> Array:
        return _sum(
            arrays.outer(vectors[:, start : start + size], rows)
            for (start, size), (_, rows) in zip(self.spans, self.pieces(arrays), strict=True)
        )

    def inner(self, arrays: Arrays, other: LayerGradients) -> Array:
        """Return the inner products ``(n, m)`` with the gradients of m other samples in the same layer."""
        size = sum(size for _, size in self.spans)
        mine = [self.part(rows) for rows in _parts(len(self), size)]
        theirs = [other.part(rows) for rows in _parts(len(other), size)]
        return _stacked(
            arrays, [arrays.concatenate([_by_pieces(arrays, one, two) for two in theirs]) for one in mine]
        )

    def squared_norms(self, arrays: Arrays) -> Array:
        """Return the squared norms ``(n,)``."""
        return _sum(arrays.inner(rows, rows)[:, 0] for _, rows in self.pieces(arrays))


@dataclass(frozen=True)
class LinearGradients(LayerGradients):
    r"""Of a matrix and a bias: :math:`G_j = \sum_t \delta_{jt} a_{jt}^\top`, in groups side by side.

    Attributes
    ----------
    name : str
    inputs : array, shape (n, T, G, I)
        a, at T positions and in G groups; for a convolution the patches.
    outputs : array, shape (n, T, G, O)
        delta.
    weight : int or None
        Where the weight starts in the flat vector; None where it isn't trained.
    bias : int or None
        Where the bias ``(G, O)`` starts; None where there is none, or it isn't trained.
    order : {"goi", "igo"}
        The order of the weight's axes.
    """

    name: str
    inputs: Array
    outputs: Array
    weight: int | None
    bias: int | None = None
    order: Literal["goi", "igo"] = "goi"

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.outputs.shape[0])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, G, O and I."""
        _, n_positions, n_groups, n_outputs = map(int, self.outputs.shape)
        return n_positions, n_groups, n_outputs, int(self.inputs.shape[-1])

    def part(self, rows: slice) -> LinearGradients:
        """Return those of some of the samples."""
        return LinearGradients(
            self.name, self.inputs[rows], self.outputs[rows], self.weight, self.bias, self.order
        )

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of weight and bias."""
        _, n_groups, n_outputs, n_inputs = self.shape
        sizes = (self.weight, n_groups * n_outputs * n_inputs), (self.bias, n_groups * n_outputs)
        return tuple((start, size) for start, size in sizes if start is not None)

    def pieces(self, arrays: Arrays) -> list[Piece]:
        """Form the products, and add them up over the positions."""
        found = []
        if self.weight is not None:
            rows = arrays.einsum(f"jtgo,jtgi->j{self.order}", self.outputs, self.inputs)
            found.append((self.weight, arrays.reshape(rows, (len(self), -1))))
        if self.bias is not None:
            rows = arrays.einsum("jtgo->jgo", self.outputs)
            found.append((self.bias, arrays.reshape(rows, (len(self), -1))))
        return found

    @property
    def is_long(self) -> bool:
        """Whether the products take less room than what they are formed from."""
        n_positions, _, n_outputs, n_inputs = self.shape
        return n_positions > 1 and n_positions * (n_outputs + n_inputs) > n_outputs * n_inputs

    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Add up over samples and positions in one product."""
        if self.is_long:
            return [(start, arrays.einsum("jp,j->p", rows, weights)) for start, rows in self.pieces(arrays)]
        weighted = self.outputs * arrays.reshape(weights, (-1, 1, 1, 1))
        found = []
        if self.weight is not None:
            total = arrays.einsum(f"jtgo,jtgi->{self.order}", weighted, self.inputs)
            found.append((self.weight, arrays.reshape(total, (-1,))))
        if self.bias is not None:
            found.append((self.bias, arrays.reshape(arrays.einsum("jtgo->go", weighted), (-1,))))
        return found

    def slopes(self, arrays: Arrays, vectors: Array) -> Array:
        """Move the inputs along a vector, where that takes less than forming the products."""
        n_positions, n_groups, n_outputs, n_inputs = self.shape
        if self.weight is None or self.is_long or (len(vectors) > 1 and n_positions > 1):
            return super().slopes(arrays, vectors)
        (start, size), sizes = self.spans[0], {"g": n_groups, "o": n_outputs, "i": n_inputs}
        along = arrays.reshape(vectors[:, start : start + size], (-1, *(sizes[axis] for axis in self.order)))
        moved = arrays.einsum(f"k{self.order},jtgi->kjtgo", along, self.inputs)
        if self.bias is not None:
            of_bias = vectors[:, self.bias : self.bias + n_groups * n_outputs]
            moved = moved + arrays.reshape(of_bias, (-1, 1, 1, n_groups, n_outputs))
        return arrays.einsum("kjtgo,jtgo->kj", moved, self.outputs)

    def inner(self, arrays: Arrays, other: LayerGradients) -> Array:
        """Multiply products of inputs and of outputs position by position, where that takes less."""
        assert isinstance(other, LinearGradients)
        n_positions, _, n_outputs, n_inputs = self.shape
        n_pairs = n_positions * other.shape[0]
        if self.weight is None or n_pairs * (n_outputs + n_inputs) > n_outputs * n_inputs:
            return super().inner(arrays, other)
        parts = _parts(len(self), n_pairs * len(other) * self.shape[1])
        return _stacked(arrays, [self.part(rows)._by_positions(arrays, other) for rows in parts])

    def squared_norms(self, arrays: Arrays) -> Array:
        """As `inner`, of every sample with itself."""
        n_positions, _, n_outputs, n_inputs = self.shape
        if self.weight is None or n_positions**2 * (n_outputs + n_inputs) > 2 * n_outputs * n_inputs:
            return super().squared_norms(arrays)
        outputs = arrays.einsum("jtgo,jsgo->jtsg", self.outputs, self.outputs)
        inputs = arrays.einsum("jtgi,jsgi->jtsg", self.inputs, self.inputs)
        return arrays.einsum("jtsg->j", outputs * (inputs + float(self.bias is not None)))

    def _by_positions(self, arrays: Arrays, other: LinearGradients) -> Array:
        outputs = arrays.einsum("jtgo,lsgo->jlgts", self.outputs, other.outputs)
        inputs = arrays.einsum("jtgi,lsgi->jlgts", self.inputs, other.inputs)
        return arrays.einsum("jlgts->jl", outputs * (inputs + float(self.bias is not None)))


@dataclass(frozen=True)
class LookupGradients(LayerGradients):
    """Of a table of V rows ``(V, O)`` that is read at T positions: an embedding.

    Attributes
    ----------
    name : str
    indices : ndarray of int64, shape (n, T)
        The rows that were read.
    outputs : array, shape (n, T, O)
        The gradient in what was read; 0 where it doesn't count (padding).
    n_rows : int
        V.
    weight : int
        Where the table starts in the flat vector.
    """

    name: str
    indices: NDArray[np.int64]
    outputs: Array
    n_rows: int
    weight: int

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.indices)

    def part(self, rows: slice) -> LookupGradients:
        """Return those of some of the samples."""
        return LookupGradients(self.name, self.indices[rows], self.outputs[rows], self.n_rows, self.weight)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of the table."""
        return ((self.weight, self.n_rows * int(self.outputs.shape[-1])),)

    def pieces(self, arrays: Arrays) -> list[Piece]:
        """Put what was read where it came from."""
        placed = self.indices[:, :, None] == np.arange(self.n_rows)
        rows = arrays.einsum("jtv,jto->jvo", arrays.from_numpy(placed), self.outputs)
        return [(self.weight, arrays.reshape(rows, (len(self), -1)))]

    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Add up by row of the table."""
        weighted = self.outputs * arrays.reshape(weights, (-1, 1, 1))
        flat = arrays.reshape(weighted, (self.indices.size, -1))
        total = arrays.sum_by(flat, self.indices.reshape(-1), self.n_rows)
        return [(self.weight, arrays.reshape(total, (-1,)))]

    def slopes(self, arrays: Arrays, vectors: Array) -> Array:
        """Read vectors where the table was read."""
        (start, size), width = self.spans[0], int(self.outputs.shape[-1])
        table = arrays.reshape(vectors[:, start : start + size], (-1, self.n_rows, width))
        read = arrays.take(table, self.indices.reshape(-1), 1)
        read = arrays.reshape(read, (-1, *self.indices.shape, width))
        return arrays.einsum("kjto,jto->kj", read, self.outputs)

    def inner(self, arrays: Arrays, other: LayerGradients) -> Array:
        """Multiply what was read at positions of the same row of the table."""
        assert isinstance(other, LookupGradients)
        parts = _parts(len(self), self.indices.shape[1] * other.indices.size)
        return _stacked(arrays, [self.part(rows)._by_positions(arrays, other) for rows in parts])

    def squared_norms(self, arrays: Arrays) -> Array:
        """As `inner`, of every sample with itself."""
        same = arrays.from_numpy(self.indices[:, :, None] == self.indices[:, None, :])
        products = arrays.einsum("jto,jso->jts", self.outputs, self.outputs)
        return arrays.einsum("jts->j", products * same)

    def _by_positions(self, arrays: Arrays, other: LookupGradients) -> Array:
        same = arrays.from_numpy(self.indices[:, None, :, None] == other.indices[None, :, None, :])
        products = arrays.einsum("jto,lso->jlts", self.outputs, other.outputs)
        return arrays.einsum("jlts->jl", products * same)


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
        return [(self.spans[0][0], _sum(use.pieces(arrays)[0][1] for use in self.uses))]

    def total(self, arrays: Arrays, weights: Array) -> list[Piece]:
        """Add up what each use gives."""
        return [(self.spans[0][0], _sum(use.total(arrays, weights)[0][1] for use in self.uses))]

    def slopes(self, arrays: Arrays, vectors: Array) -> Array:
        """Add up what each use gives."""
        return _sum(use.slopes(arrays, vectors) for use in self.uses)


Blocks = Sequence[LayerGradients]
"""The gradients of samples in all parameters."""


def plain_gradients(rows: Array) -> list[LayerGradients]:
    """Return gradients ``(n, P)`` as those of one layer that nothing is known of."""
    return [PlainGradients("the model", rows, 0)]


def compact(arrays: Arrays, blocks: Blocks) -> list[LayerGradients]:
    """Return blocks whose products are formed where these take less room: for several sums or slopes."""
    found: list[LayerGradients] = []
    for block in blocks:
        if isinstance(block, LinearGradients) and block.is_long:
            found += [PlainGradients(block.name, rows, start) for start, rows in block.pieces(arrays)]
        else:
            found.append(block)
    return found


def rows_of(arrays: Arrays, blocks: Blocks) -> Array:
    """Return the gradients of all samples in all parameters, ``(n, P)``."""
    return _joined(arrays, [piece for block in blocks for piece in block.pieces(arrays)])


def gradient_of(arrays: Arrays, blocks: Blocks, weights: Array) -> Array:
    """Return the weighted sum of the samples' gradients, ``(P,)``."""
    return _joined(arrays, [piece for block in blocks for piece in block.total(arrays, weights)])


def slopes_along(arrays: Arrays, blocks: Blocks, vectors: Array) -> Array:
    """Return the slopes of the samples along one vector ``(P,)``, shape ``(n,)``, or along K, ``(K, n)``."""
    if vectors.ndim == 1:
        return slopes_along(arrays, blocks, vectors[None])[0]
    return _sum(block.slopes(arrays, vectors) for block in blocks)


def inner_products(arrays: Arrays, left: Blocks, right: Blocks) -> Array:
    """Return the inner products of the gradients of n and of m samples, ``(n, m)``."""
    return _sum(mine.inner(arrays, theirs) for mine, theirs in zip(left, right, strict=True))


def squared_norms_of(arrays: Arrays, blocks: Blocks) -> Array:
    """Return the squared norms of the samples' gradients, ``(n,)``."""
    return _sum(block.squared_norms(arrays) for block in blocks)


def _by_pieces(arrays: Arrays, left: LayerGradients, right: LayerGradients) -> Array:
    pairs = zip(left.pieces(arrays), right.pieces(arrays), strict=True)
    return _sum(arrays.outer(mine, theirs) for (_, mine), (_, theirs) in pairs)


def _joined(arrays: Arrays, pieces: Sequence[Piece]) -> Array:
    return arrays.concatenate([part for _, part in sorted(pieces, key=lambda piece: piece[0])])


def _parts(n: int, entries_each: int) -> Iterator[slice]:
    size = max(1, _ENTRIES // max(1, entries_each))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def _stacked(arrays: Arrays, blocks: Sequence[Any]) -> Array:
    """Join ``(n, m)`` along the first axis."""
    if len(blocks) == 1:
        return blocks[0]
    return arrays.einsum("ml->lm", arrays.concatenate([arrays.einsum("lm->ml", block) for block in blocks]))


def _sum(parts: Iterator[Array]) -> Array:
    return reduce(add, parts)
