"""The bases of layers that multiply or look up, and of a dense block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, LinearGradients, LookupGradients, Piece, PlainGradients
from dataval.curvature.kronecker.spectrum import FloatArray, Spectrum

__all__ = ["DenseSpectrum", "MatrixSpectrum", "TableSpectrum"]


@dataclass(frozen=True)
class MatrixSpectrum(Spectrum):
    """Of a matrix and a bias: Kronecker products of the factors' eigenvectors, group by group.

    Attributes
    ----------
    left : array, shape (G, O, O)
        Eigenvectors of the outputs' factor S.
    right : array, shape (G, I, I)
        Those of the inputs' factor A; the last input is the constant 1 where there is a bias.
    weight, bias : int or None
        Where they start in the flat vector, as for `LinearGradients`.
    order : {"goi", "igo"}
    """

    left: Array
    right: Array
    weight: int | None
    bias: int | None
    order: Literal["goi", "igo"]

    kind: ClassVar[str] = "matrix"
    bases: ClassVar[tuple[str, ...]] = ("left", "right")

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of weight and bias."""
        n_groups, n_outputs, n_inputs = self._sizes
        sizes = (self.weight, n_groups * n_outputs * n_inputs), (self.bias, n_groups * n_outputs)
        return tuple((start, size) for start, size in sizes if start is not None)

    def into(self, arrays: Arrays, vectors: Array) -> Array:
        """Rotate on both sides."""
        pieces = [vectors[:, start : start + size] for start, size in self.spans]
        return self._rotated(arrays, self._joined(arrays, pieces))

    def out_of(self, arrays: Arrays, coordinates: Array) -> list[Piece]:
        """Rotate back, and part the bias from the weight."""
        half = arrays.einsum("kgpq,gop->kgoq", coordinates, self.left)
        joined = arrays.einsum("kgoq,giq->kgoi", half, self.right)
        n_inputs, found = self._sizes[2], []
        if self.weight is not None:
            part = arrays.einsum(f"kgoi->k{self.order}", joined[:, :, :, :n_inputs])
            found.append((self.weight, arrays.reshape(part, (len(joined), -1))))
        if self.bias is not None:
            found.append((self.bias, arrays.reshape(joined[:, :, :, n_inputs], (len(joined), -1))))
        return found

    def fits(self, block: LayerGradients) -> bool:
        """Whether these are inputs and outputs of the matrix."""
        return isinstance(block, LinearGradients) and super().fits(block)

    def turned(self, arrays: Arrays, block: LayerGradients) -> LayerGradients:
        """Rotate inputs and outputs, or their products, whichever takes less."""
        assert isinstance(block, LinearGradients)
        n_positions, _, n_outputs, n_inputs = block.shape
        if n_positions * (n_outputs**2 + n_inputs**2) > n_outputs * n_inputs * (n_outputs + n_inputs):
            matrices = self._joined(arrays, [rows for _, rows in block.pieces(arrays)])
            rows = arrays.reshape(self._rotated(arrays, matrices), (len(block), -1))
            return PlainGradients(self.name, rows, 0)
        outputs, inputs = self._sides(arrays, block)
        return LinearGradients(self.name, inputs, outputs, 0)

    def of_diagonal(self, diagonal: FloatArray) -> FloatArray:
        """Average over the parameters with the squares of both sides' eigenvectors."""
        pieces = [diagonal[None, start : start + size] for start, size in self.spans]
        joined = self._joined(Arrays(), pieces)[0]
        half = np.einsum("goi,gop->gpi", joined, np.asarray(self.left) ** 2)
        return np.asarray(np.einsum("gpi,giq->gpq", half, np.asarray(self.right) ** 2))

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """G, O and I, without the constant 1."""
        n_groups, n_outputs, n_inputs = self.eigenvalues.shape
        return n_groups, n_outputs, n_inputs - (self.bias is not None)

    def _joined(self, arrays: Arrays, pieces: list[Array]) -> Array:
        """Return ``(K, G, O, I)`` of weight and bias as one matrix."""
        n_groups, n_outputs, n_inputs = self._sizes
        sizes, found = {"g": n_groups, "o": n_outputs, "i": n_inputs}, []
        if self.weight is not None:
            part = arrays.reshape(pieces[0], (-1, *(sizes[axis] for axis in self.order)))
            found.append(arrays.einsum(f"k{self.order}->kgoi", part))
        if self.bias is not None:
            found.append(arrays.reshape(pieces[-1], (-1, n_groups, n_outputs, 1)))
        return arrays.concatenate(found)

    def _rotated(self, arrays: Arrays, matrices: Array) -> Array:
        half = arrays.einsum("kgoi,gop->kgpi", matrices, self.left)
        return arrays.einsum("kgpi,giq->kgpq", half, self.right)

    def _sides(self, arrays: Arrays, block: LinearGradients) -> tuple[Array, Array]:
        """Return outputs ``(n, T, G, O)`` and inputs ``(n, T, G, I)`` in the eigenvectors' bases."""
        outputs = arrays.einsum("jtgo,gop->jtgp", block.outputs, self.left)
        if self.weight is None:
            ones = arrays.from_numpy(np.ones((*map(int, block.outputs.shape[:3]), 1)))
            return outputs, arrays.einsum("jtgi,giq->jtgq", ones, self.right)
        n_inputs = self._sizes[2]
        inputs = arrays.einsum("jtgi,giq->jtgq", block.inputs, self.right[:, :n_inputs])
        return outputs, inputs if self.bias is None else inputs + self.right[:, n_inputs]


@dataclass(frozen=True)
class TableSpectrum(Spectrum):
    """Of a table that rows are read from: the rows are independent, what is read has eigenvectors.

    Attributes
    ----------
    left : array, shape (O, O)
        Eigenvectors of the factor of what is read.
    weight : int
        Where the table ``(V, O)`` starts in the flat vector.
    """

    left: Array
    weight: int

    kind: ClassVar[str] = "table"
    bases: ClassVar[tuple[str, ...]] = ("left",)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size of the table."""
        return ((self.weight, self.eigenvalues.size),)

    def into(self, arrays: Arrays, vectors: Array) -> Array:
        """Rotate every row."""
        table = vectors[:, self.weight : self.weight + self.eigenvalues.size]
        return arrays.einsum("kvo,op->kvp", arrays.reshape(table, (-1, *self.eigenvalues.shape)), self.left)

    def out_of(self, arrays: Arrays, coordinates: Array) -> list[Piece]:
        """Rotate back."""
        table = arrays.einsum("kvp,op->kvo", coordinates, self.left)
        return [(self.weight, arrays.reshape(table, (len(coordinates), -1)))]

    def fits(self, block: LayerGradients) -> bool:
        """Whether these are rows of the table."""
        return isinstance(block, LookupGradients) and super().fits(block)

    def turned(self, arrays: Arrays, block: LayerGradients) -> LayerGradients:
        """Rotate what was read."""
        assert isinstance(block, LookupGradients)
        outputs = arrays.einsum("jto,op->jtp", block.outputs, self.left)
        return LookupGradients(self.name, block.indices, outputs, block.n_rows, 0)

    def of_diagonal(self, diagonal: FloatArray) -> FloatArray:
        """Average over each row with the squares of the eigenvectors."""
        table = diagonal[self.weight : self.weight + self.eigenvalues.size]
        return np.asarray(table.reshape(self.eigenvalues.shape) @ np.asarray(self.left) ** 2)


@dataclass(frozen=True)
class DenseSpectrum(Spectrum):
    """Of a dense block.

    Attributes
    ----------
    basis : array, shape (size, size)
        Its eigenvectors.
    start : int
        Where it starts in the flat vector.
    """

    basis: Array
    start: int

    kind: ClassVar[str] = "block"
    bases: ClassVar[tuple[str, ...]] = ("basis",)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and size."""
        return ((self.start, self.eigenvalues.size),)

    def into(self, arrays: Arrays, vectors: Array) -> Array:
        """Rotate."""
        part = vectors[:, self.start : self.start + self.eigenvalues.size]
        return arrays.einsum("kp,pq->kq", part, self.basis)

    def out_of(self, arrays: Arrays, coordinates: Array) -> list[Piece]:
        """Rotate back."""
        return [(self.start, arrays.einsum("kq,pq->kp", coordinates, self.basis))]

    def turned(self, arrays: Arrays, block: LayerGradients) -> LayerGradients:
        """Rotate the gradients."""
        ((_, rows),) = block.pieces(arrays)
        return PlainGradients(self.name, arrays.einsum("kp,pq->kq", rows, self.basis), 0)

    def of_diagonal(self, diagonal: FloatArray) -> FloatArray:
        """Average over the parameters with the squares of the eigenvectors."""
        part = diagonal[self.start : self.start + self.eigenvalues.size]
        return np.asarray(part @ np.asarray(self.basis) ** 2)
