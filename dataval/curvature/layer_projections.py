r"""Gradients projected layer by layer, as LoGra does, without ever being formed.

A layer's gradient :math:`G_j = \sum_t\delta_{jt}a_{jt}^\top` is kept as
:math:`P_o G_j P_i^\top = \sum_t (P_o\delta_{jt})(P_i a_{jt})^\top`, which takes the projected inputs and
output gradients alone. A bias is one more input that is always 1.

Choe et al. (2024). What is your data worth to GPT? LLM-scale data valuation with influence functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import Blocks, LayerGradients, LinearGradients, LookupGradients
from dataval.curvature.compression import Compression
from dataval.curvature.projections import RandomProjection, random_signs

__all__ = ["Factors", "LayerProjections", "principal_factors", "random_factors"]

FloatArray = NDArray[np.float64]
Factors = dict[str, FloatArray]
"""The matrices :math:`P_i` and :math:`P_o` by the layer's number: ``"3.inputs"``, ``"3.outputs"``."""


class LayerProjections(Compression):
    """A pair of matrices for every layer that multiplies or looks up; a random projection for the rest.

    Parameters
    ----------
    blocks : sequence of LayerGradients
        Of any samples: they say what the layers are.
    factors : dict of str to ndarray
        Matrices ``(k, size)``; a side that has none stays as it is.
    rank : int
        A layer without matrices is projected to the square of it, where it has more parameters.
    seed : int
    described : dict
        What tells the matrices from others, fit for JSON.
    """

    def __init__(
        self, blocks: Blocks, factors: Factors, rank: int, seed: int, described: dict[str, Any]
    ) -> None:
        self._parts = [_part_of(block, number, factors, rank, seed) for number, block in enumerate(blocks)]
        self.size = sum(part.size for part in self._parts)
        self.plain_size = sum(part.plain_size for part in self._parts)
        self._described = described | {"rank": rank, "seed": seed, "sizes": [part.size for part in self._parts]}

    def rows(self, arrays: Arrays, blocks: Blocks) -> NDArray[Any]:
        """Project layer by layer."""
        parts = [part.rows(arrays, block) for part, block in zip(self._parts, blocks, strict=True)]
        return np.concatenate(parts, axis=1)

    def vectors(self, vectors: FloatArray) -> FloatArray:
        """Project the layers' parts of the vectors."""
        return np.concatenate([part.vectors(vectors) for part in self._parts], axis=1)

    def description(self) -> dict[str, Any]:
        """Name rank, seed, the layers' sizes, and what the matrices are."""
        return self._described


def random_factors(blocks: Blocks, rank: int, seed: int) -> Factors:
    """Return random signs over the root of the rank, where a side is longer than the rank."""
    found = {}
    for number, block in enumerate(blocks):
        for side, size in enumerate(_sides(block)):
            if size > rank:
                name = f"{number}.{('inputs', 'outputs')[side]}"
                found[name] = random_signs(seed, 2 * number + side + 1, (rank, size)) / rank**0.5
    return found


def principal_factors(arrays: Arrays, samples: Iterable[Blocks], rank: int, seed: int) -> Factors:
    """Return the leading eigenvectors of the Kronecker factors; a table's rows have random signs.

    The factors are the second moments of inputs and of output gradients; `samples` come some at a time.
    """
    sums: Factors = {}
    found: Factors = {}
    for blocks in samples:
        found = found or random_factors(blocks, rank, seed)
        for number, block in enumerate(blocks):
            for side, matrix in _second_moments(arrays, block).items():
                if (name := f"{number}.{side}") in found:
                    sums[name] = sums.get(name, 0.0) + matrix
    for name, total in sums.items():
        found[name] = np.linalg.eigh(total)[1][:, ::-1][:, :rank].T.copy()
    return found


def _sides(block: LayerGradients) -> tuple[int, ...]:
    """Return the lengths of inputs and outputs of a layer that has such sides."""
    if isinstance(block, LinearGradients) and _is_matrix(block):
        _, _, n_outputs, n_inputs = block.shape
        return n_inputs + (block.bias is not None), n_outputs
    if isinstance(block, LookupGradients):
        return block.n_rows, int(block.outputs.shape[-1])
    return ()


def _is_matrix(block: LayerGradients) -> Any:
    return isinstance(block, LinearGradients) and block.weight is not None and block.shape[1] == 1


def _second_moments(arrays: Arrays, block: LayerGradients) -> Factors:
    if isinstance(block, LookupGradients):
        return {"outputs": _squared(arrays, block.outputs)}
    if not _is_matrix(block):
        return {}
    assert isinstance(block, LinearGradients)
    inputs = _squared(arrays, block.inputs[:, :, 0])
    if block.bias is not None:
        mean = _numpy(arrays, arrays.einsum("jti->i", block.inputs[:, :, 0]))
        count = len(block) * block.shape[0]
        inputs = np.block([[inputs, mean[:, None]], [mean[None], np.full((1, 1), float(count))]])
    return {"inputs": inputs, "outputs": _squared(arrays, block.outputs[:, :, 0])}


def _squared(arrays: Arrays, positions: Array) -> FloatArray:
    return _numpy(arrays, arrays.einsum("jti,jtk->ik", positions, positions))


def _numpy(arrays: Arrays, array: Array) -> FloatArray:
    return np.asarray(arrays.to_numpy(array), dtype=np.float64)


class _Part(ABC):
    size: int
    plain_size = 0

    @abstractmethod
    def rows(self, arrays: Arrays, block: Any) -> NDArray[Any]: ...

    @abstractmethod
    def vectors(self, vectors: FloatArray) -> FloatArray: ...


def _part_of(block: LayerGradients, number: int, factors: Factors, rank: int, seed: int) -> _Part:
    inputs, outputs = factors.get(f"{number}.inputs"), factors.get(f"{number}.outputs")
    if _is_matrix(block):
        return _MatrixPart(block, inputs, outputs)
    if isinstance(block, LookupGradients):
        return _TablePart(block, inputs, outputs)
    return _PlainPart(block, number, rank, seed)


class _MatrixPart(_Part):
    def __init__(self, block: Any, inputs: FloatArray | None, outputs: FloatArray | None) -> None:
        _, _, self._n_outputs, self._n_inputs = block.shape
        self._weight, self._bias = block.weight, block.bias
        self._order: Literal["goi", "igo"] = block.order
        self._inputs, self._outputs = inputs, outputs
        n_columns = self._n_inputs + (self._bias is not None) if inputs is None else len(inputs)
        n_rows = self._n_outputs if outputs is None else len(outputs)
        self.size, self._shape = n_rows * n_columns, (n_rows, n_columns)

    def rows(self, arrays: Arrays, block: LinearGradients) -> NDArray[Any]:
        """Project before or after the products are summed over the positions, whichever takes less."""
        inputs, outputs = block.inputs[:, :, 0], block.outputs[:, :, 0]
        n_positions, (n_rows, n_columns) = int(inputs.shape[1]), self._shape
        sides = self._n_outputs * n_rows + self._n_inputs * n_columns
        early = n_positions * (sides + n_rows * n_columns)
        late = (n_positions + n_columns) * self._n_outputs * self._n_inputs + self._n_outputs * self.size
        if early <= late:
            found = arrays.einsum(
                "jto,jti->joi", self._out(arrays, outputs, "t"), self._in(arrays, inputs, True)
            )
            return arrays.to_numpy(arrays.reshape(found, (len(block), -1)))
        products = self._in(arrays, arrays.einsum("jto,jti->joi", outputs, inputs), False)
        if self._bias is not None:
            sums = arrays.einsum("jto->jo", outputs)[:, :, None]
            products = self._with_bias(arrays, products, sums)
        turned = arrays.einsum("joi->jio", products)
        found = arrays.einsum("jio->joi", self._out(arrays, turned, "i"))
        return arrays.to_numpy(arrays.reshape(found, (len(block), -1)))

    def vectors(self, vectors: FloatArray) -> FloatArray:
        shape = (self._n_outputs, self._n_inputs)
        part = vectors[:, self._weight : self._weight + shape[0] * shape[1]]
        if self._order == "igo":
            matrices = part.reshape(-1, shape[1], shape[0]).swapaxes(1, 2)
        else:
            matrices = part.reshape(-1, *shape)
        if self._bias is not None:
            biases = vectors[:, self._bias : self._bias + self._n_outputs, None]
            matrices = np.concatenate([matrices, biases], axis=2)
        matrices = matrices if self._inputs is None else matrices @ self._inputs.T
        matrices = matrices if self._outputs is None else self._outputs @ matrices
        return np.asarray(matrices.reshape(len(vectors), -1))

    def _out(self, arrays: Arrays, outputs: Array, axis: str) -> Array:
        if self._outputs is None:
            return outputs
        return arrays.einsum(f"j{axis}o,qo->j{axis}q", outputs, arrays.from_numpy(self._outputs))

    def _in(self, arrays: Arrays, inputs: Array, are_inputs: bool) -> Array:
        """Project along the last axis; what the bias adds to inputs comes with it."""
        matrix = self._inputs
        if matrix is None:
            if not are_inputs or self._bias is None:
                return inputs
            ones = arrays.from_numpy(np.ones((*map(int, inputs.shape[:-1]), 1)))
            return arrays.concatenate([inputs, ones])
        found = arrays.einsum("jti,pi->jtp", inputs, arrays.from_numpy(matrix[:, : self._n_inputs]))
        if are_inputs and self._bias is not None:
            found = found + arrays.from_numpy(matrix[:, self._n_inputs])
        return found

    def _with_bias(self, arrays: Arrays, products: Array, sums: Array) -> Array:
        if self._inputs is None:
            return arrays.concatenate([products, sums])
        return products + sums * arrays.from_numpy(self._inputs[:, self._n_inputs])


class _TablePart(_Part):
    def __init__(self, block: LookupGradients, inputs: FloatArray | None, outputs: FloatArray | None) -> None:
        self._n_rows, self._width = block.n_rows, int(block.outputs.shape[-1])
        self._weight = block.weight
        self._inputs = np.eye(self._n_rows) if inputs is None else inputs
        self._outputs = outputs
        self.size = len(self._inputs) * (self._width if outputs is None else len(outputs))

    def rows(self, arrays: Arrays, block: LookupGradients) -> NDArray[Any]:
        read = arrays.from_numpy(self._inputs.T[block.indices])
        outputs = block.outputs
        if self._outputs is not None:
            outputs = arrays.einsum("jto,qo->jtq", outputs, arrays.from_numpy(self._outputs))
        found = arrays.einsum("jto,jtp->jop", outputs, read)
        return arrays.to_numpy(arrays.reshape(found, (len(block), -1)))

    def vectors(self, vectors: FloatArray) -> FloatArray:
        part = vectors[:, self._weight : self._weight + self._n_rows * self._width]
        tables = part.reshape(-1, self._n_rows, self._width)
        tables = tables if self._outputs is None else tables @ self._outputs.T
        return np.asarray((tables.swapaxes(1, 2) @ self._inputs.T).reshape(len(vectors), -1))


class _PlainPart(_Part):
    def __init__(self, block: LayerGradients, number: int, rank: int, seed: int) -> None:
        self._spans: Sequence[tuple[int, int]] = block.spans
        self.plain_size = sum(size for _, size in self._spans)
        self.size = min(self.plain_size, rank**2)
        is_whole = self.size == self.plain_size
        self._projection = (
            None
            if is_whole
            else RandomProjection(self.plain_size, self.size, seed, "sparse", stream=2 * number + 1)
        )

    def rows(self, arrays: Arrays, block: LayerGradients) -> NDArray[Any]:
        pieces = [arrays.to_numpy(rows) for _, rows in block.pieces(arrays)]
        return self._projected(np.concatenate(pieces, axis=1))

    def vectors(self, vectors: FloatArray) -> FloatArray:
        parts = [vectors[:, start : start + size] for start, size in self._spans]
        return self._projected(np.concatenate(parts, axis=1))

    def _projected(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rows if self._projection is None else self._projection(rows)
