"""The factors of each layer, added up over the samples, and the eigenvectors that come of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, LinearGradients, LookupGradients, PlainGradients
from dataval.curvature.kronecker.bases import DenseSpectrum, MatrixSpectrum, TableSpectrum
from dataval.curvature.kronecker.options import Sharing, Uncovered
from dataval.curvature.kronecker.spectrum import EntrySpectrum, FloatArray, Spectrum
from dataval.curvature.kronecker.turned import parts_of
from dataval.errors import InvalidModelError

__all__ = ["LayerFactors", "averaged", "check_block", "check_sides", "factor_entries", "factors_of"]

_LARGEST_BLOCK = 2_000
_LARGEST_SIDE = 20_000  # of a factor: 3 GB in float64


class LayerFactors(ABC):
    """Sums over samples from which a layer's eigenvectors are found."""

    @abstractmethod
    def add(self, arrays: Arrays, block: LayerGradients, weights: NDArray[np.float64]) -> None:
        """Add samples by their weights ``(n,)``."""

    @abstractmethod
    def spectrum(self) -> Spectrum:
        """Return the eigenvectors, with the eigenvalues that follow from the factors."""

    def is_finite(self) -> bool:
        """Whether all sums are finite."""
        return all(np.isfinite(kept).all() for kept in vars(self).values() if isinstance(kept, np.ndarray))


class _Matrix(LayerFactors):
    """S, summed over the samples, and A, averaged over them and their positions."""

    def __init__(self, block: LinearGradients, sharing: Sharing) -> None:
        self._name, self._weight, self._bias, self._order = block.name, block.weight, block.bias, block.order
        self._reduces = sharing == "reduce"
        self._outputs: FloatArray | float = 0.0
        self._inputs: FloatArray | float = 0.0
        self._count = 0.0

    def add(self, arrays: Arrays, block: LayerGradients, weights: NDArray[np.float64]) -> None:
        """Multiply outputs and inputs with themselves."""
        assert isinstance(block, LinearGradients)
        block = averaged(arrays, block) if self._reduces else block
        placed = arrays.reshape(arrays.from_numpy(weights), (-1, 1, 1, 1))
        outputs = arrays.einsum("jtgo,jtgp->gop", placed * block.outputs, block.outputs)
        self._outputs = self._outputs + _double(arrays, outputs)
        self._inputs = self._inputs + self._products(arrays, block, placed)
        self._count += float(weights.sum()) * block.shape[0]

    def spectrum(self) -> Spectrum:
        """Find the eigenvectors of both factors."""
        outputs, left = _eigen(np.asarray(self._outputs))
        inputs, right = _eigen(np.asarray(self._inputs) / max(self._count, np.finfo(float).tiny))
        values = outputs[:, :, None] * inputs[:, None, :]
        return MatrixSpectrum(self._name, values, left, right, self._weight, self._bias, self._order)

    def _products(self, arrays: Arrays, block: LinearGradients, weights: Array) -> FloatArray:
        """Return the sum of a a', with the constant 1 last where there is a bias."""
        n_positions, n_groups, _, n_inputs = block.shape
        n_inputs *= self._weight is not None
        found = np.zeros((n_groups, n_inputs + 1, n_inputs + 1))
        if n_inputs:
            weighted = weights * block.inputs
            products = arrays.einsum("jtgi,jtgk->gik", weighted, block.inputs)
            found[:, :n_inputs, :n_inputs] = _double(arrays, products)
            found[:, :n_inputs, n_inputs] = _double(arrays, arrays.einsum("jtgi->gi", weighted))
            found[:, n_inputs, :n_inputs] = found[:, :n_inputs, n_inputs]
        found[:, n_inputs, n_inputs] = _double(arrays, weights).sum() * n_positions
        return found if self._bias is not None else found[:, :n_inputs, :n_inputs]


class _Table(LayerFactors):
    """S, summed over the samples, and how often each row is read."""

    def __init__(self, block: LookupGradients) -> None:
        self._name, self._weight = block.name, block.weight
        self._counts = np.zeros(block.n_rows)
        self._outputs: FloatArray | float = 0.0

    def add(self, arrays: Arrays, block: LayerGradients, weights: NDArray[np.float64]) -> None:
        """Count rows, and multiply what was read with itself."""
        assert isinstance(block, LookupGradients)
        placed = arrays.reshape(arrays.from_numpy(weights), (-1, 1, 1))
        outputs = arrays.einsum("jto,jtp->op", placed * block.outputs, block.outputs)
        self._outputs = self._outputs + _double(arrays, outputs)
        each = np.repeat(weights, block.indices.shape[1])
        self._counts += np.bincount(block.indices.reshape(-1), each, len(self._counts))

    def spectrum(self) -> Spectrum:
        """Find the eigenvectors of S; the rows are those of A."""
        values, left = _eigen(np.asarray(self._outputs))
        shares = self._counts / max(self._counts.sum(), np.finfo(float).tiny)
        return TableSpectrum(self._name, shares[:, None] * values, left, self._weight)


class _Entries(LayerFactors):
    """Squares of the gradients."""

    def __init__(self, block: LayerGradients, rule: str) -> None:
        ((self._start, self._size),) = block.spans
        self._name, self._rule = block.name, rule
        self._squares = np.zeros(self._size)

    def add(self, arrays: Arrays, block: LayerGradients, weights: NDArray[np.float64]) -> None:
        """Add up squares."""
        for part in parts_of(len(block), self._size):
            ((_, rows),) = block.part(part).pieces(arrays)
            each = arrays.from_numpy(weights[part])
            self._squares += _double(arrays, arrays.einsum("j,jp->p", each, rows * rows))

    def spectrum(self) -> Spectrum:
        """Return the squares, or their mean."""
        values = self._squares
        values = np.full_like(values, values.mean()) if self._rule == "identity" else values
        return EntrySpectrum(self._name, values, self._start, self._rule)


class _Block(LayerFactors):
    """Products of all pairs of entries."""

    def __init__(self, block: LayerGradients) -> None:
        ((self._start, size),) = block.spans
        self._name = block.name
        self._products = np.zeros((size, size))

    def add(self, arrays: Arrays, block: LayerGradients, weights: NDArray[np.float64]) -> None:
        """Add up products."""
        ((_, rows),) = block.pieces(arrays)
        weighted = arrays.reshape(arrays.from_numpy(weights), (-1, 1)) * rows
        self._products += _double(arrays, arrays.einsum("jp,jq->pq", weighted, rows))

    def spectrum(self) -> Spectrum:
        """Find the eigenvectors."""
        values, basis = _eigen(self._products)
        return DenseSpectrum(self._name, values, basis, self._start)


def factors_of(block: LayerGradients, sharing: Sharing, uncovered: Uncovered) -> LayerFactors:
    """Return what the factors of a layer are added up in."""
    if isinstance(block, LinearGradients):
        return _Matrix(block, sharing)
    if isinstance(block, LookupGradients):
        return _Table(block)
    if isinstance(block, PlainGradients) and block.is_elementwise:
        return _Entries(block, "elementwise")
    return _Block(block) if uncovered == "block" else _Entries(block, uncovered)


def factor_entries(block: LayerGradients, uncovered: Uncovered) -> int:
    """Return how many numbers a layer's factors, their eigenvectors and the eigenvalues are."""
    size = sum(size for _, size in block.spans)
    if isinstance(block, LinearGradients):
        _, n_groups, n_outputs, n_inputs = block.shape
        return size + 2 * n_groups * (n_outputs**2 + (n_inputs + 1) ** 2)
    if isinstance(block, LookupGradients):
        return size + 2 * int(block.outputs.shape[-1]) ** 2
    is_dense = uncovered == "block" and not (isinstance(block, PlainGradients) and block.is_elementwise)
    return size + 2 * size**2 if is_dense else size


def check_sides(block: LinearGradients) -> None:
    """Raise `InvalidModelError` if a factor of a matrix would be too large."""
    _, _, n_outputs, n_inputs = block.shape
    side = max(n_outputs, n_inputs + 1)
    if side > _LARGEST_SIDE:
        raise InvalidModelError(
            f"the layer {block.name!r} has a factor of {side} x {side} numbers ({8e-9 * side**2:.0f} GB), more "
            f"than {_LARGEST_SIDE} x {_LARGEST_SIDE}: train and value fewer parameters "
            "(Learner(params=...)), or choose curvature='gauss_newton'"
        )


def check_block(block: LayerGradients) -> None:
    """Raise `ValueError` if a dense block would be too large."""
    size = sum(size for _, size in block.spans)
    if size > _LARGEST_BLOCK:
        raise ValueError(
            f"uncovered='block' would make a matrix of {size} x {size} numbers for {block.name!r}, more than "
            f"{_LARGEST_BLOCK} x {_LARGEST_BLOCK}: choose uncovered='diagonal' or 'identity'"
        )


def averaged(arrays: Arrays, block: LinearGradients) -> LinearGradients:
    """Return inputs averaged and gradients added up over the positions, as one position."""
    n_positions = block.shape[0]
    if n_positions == 1:
        return block
    inputs = arrays.einsum("jtgi->jgi", block.inputs)[:, None] / n_positions
    outputs = arrays.einsum("jtgo->jgo", block.outputs)[:, None]
    return LinearGradients(block.name, inputs, outputs, block.weight, block.bias, block.order)


def _double(arrays: Arrays, array: Array) -> FloatArray:
    return np.asarray(arrays.to_numpy(array), dtype=np.float64)


def _eigen(matrices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues, of which rounding makes none negative, and eigenvectors as columns."""
    values, vectors = np.linalg.eigh((matrices + np.swapaxes(matrices, -1, -2)) / 2)
    return values.clip(min=0.0), vectors
