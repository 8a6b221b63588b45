"""Gradients in the basis of a layer's eigenvectors: their squares, added up over samples or over the basis.

`Spectrum.turned` gives them as gradients by layer like any others, of a vector that starts with the layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, LinearGradients, LookupGradients

__all__ = ["energies_of", "parts_of", "squares_of"]

_ENTRIES = 2**25  # of gradients that are held at a time


def squares_of(arrays: Arrays, turned: LayerGradients, weights: Array) -> Array:
    """Return the weighted sum over n samples of their squared coordinates, ``(size,)``."""
    if isinstance(turned, LinearGradients) and turned.shape[0] == 1:
        outputs, inputs = turned.outputs[:, 0], turned.inputs[:, 0]
        weighted = outputs * outputs * arrays.reshape(weights, (-1, 1, 1))
        return arrays.reshape(arrays.einsum("jgp,jgq->gpq", weighted, inputs * inputs), (-1,))
    if isinstance(turned, LookupGradients):
        rows, samples, entries = _read(arrays, turned)
        weighted = rows * rows * arrays.reshape(arrays.take(weights, samples, 0), (-1, 1))
        return arrays.reshape(arrays.sum_by(weighted, entries, turned.n_rows), (-1,))
    found = (
        arrays.einsum("j,jp->p", weights[part], rows * rows) for part, rows in _rows_in_parts(arrays, turned)
    )
    return reduce(add, found)


def energies_of(arrays: Arrays, turned: LayerGradients, table: Array) -> Array:
    """Return every sample's squared coordinates, weighted by a table ``(size,)`` and added up, ``(n,)``."""
    if isinstance(turned, LinearGradients) and turned.shape[0] == 1:
        _, n_groups, n_outputs, n_inputs = turned.shape
        outputs, inputs = turned.outputs[:, 0], turned.inputs[:, 0]
        matrices = arrays.reshape(table, (n_groups, n_outputs, n_inputs))
        along = arrays.einsum("jgq,gpq->jgp", inputs * inputs, matrices)
        return arrays.einsum("jgp,jgp->j", outputs * outputs, along)
    if isinstance(turned, LookupGradients):
        rows, samples, entries = _read(arrays, turned)
        weights = arrays.take(arrays.reshape(table, (turned.n_rows, -1)), entries, 0)
        return arrays.sum_by(arrays.inner(rows * rows, weights), samples, len(turned))[:, 0]
    parts = _rows_in_parts(arrays, turned)
    return arrays.concatenate([arrays.einsum("jp,p->j", rows * rows, table) for _, rows in parts])


def parts_of(n: int, entries_each: int) -> Iterator[slice]:
    """Split n samples so that what is formed of each stays within a memory budget."""
    size = max(1, _ENTRIES // max(1, entries_each))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))


def _rows_in_parts(arrays: Arrays, turned: LayerGradients) -> Iterator[tuple[slice, Array]]:
    ((_, size),) = turned.spans
    for part in parts_of(len(turned), size):
        ((_, rows),) = turned.part(part).pieces(arrays)
        yield part, rows


def _read(arrays: Arrays, turned: LookupGradients) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Return the gradients of the rows that samples read, with whose and which these are."""
    n, n_positions = turned.indices.shape
    keys = np.repeat(np.arange(n), n_positions) * turned.n_rows + turned.indices.reshape(-1)
    pairs, where = np.unique(keys, return_inverse=True)
    flat = arrays.reshape(turned.outputs, (len(keys), -1))
    rows = arrays.sum_by(flat, where.reshape(-1), len(pairs))
    return rows, pairs // turned.n_rows, pairs % turned.n_rows
