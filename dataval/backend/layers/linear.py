"""The gradients of a layer that multiplies by a matrix: dense, convolution, projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers.base import LayerGradients, Piece, in_parts, stacked

__all__ = ["LinearGradients"]


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

    def write(self, arrays: Arrays, rows: Array) -> None:
        """Write outer products without forming them elsewhere, where there is one a sample."""
        n_positions, n_groups, n_outputs, n_inputs = self.shape
        if self.weight is None or (n_positions, n_groups, self.order) != (1, 1, "goi"):
            super().write(arrays, rows)
            return
        outputs, inputs = self.outputs[:, 0, 0, :, None], self.inputs[:, 0]
        size, shape = n_outputs * n_inputs, (len(self), n_outputs, n_inputs)
        arrays.multiply(outputs, inputs, arrays.reshape(rows[:, self.weight : self.weight + size], shape))
        if self.bias is not None:
            rows[:, self.bias : self.bias + n_outputs] = self.outputs[:, 0, 0]

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
        n_vectors = int(vectors.shape[0])
        is_many = n_vectors > 1 and (n_positions > 1 or 4 * n_vectors > n_inputs)
        if self.weight is None or self.is_long or is_many:
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
        parts = in_parts(len(self), n_pairs * len(other) * self.shape[1])
        return stacked(arrays, [self.part(rows)._by_positions(arrays, other) for rows in parts])

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
