"""What is asked of the gradients in all parameters: sums, slopes, inner products, rows."""

from __future__ import annotations

from collections.abc import Sequence

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers.base import LayerGradients, Piece, summed
from dataval.backend.layers.linear import LinearGradients
from dataval.backend.layers.plain import PlainGradients

__all__ = [
    "Blocks",
    "compact",
    "gradient_of",
    "inner_products",
    "plain_gradients",
    "rows_of",
    "slopes_along",
    "squared_norms_of",
]

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
    spans = [span for block in blocks for span in block.spans]
    size, end = sum(size for _, size in spans), max(start + size for start, size in spans)
    rows = arrays.empty(len(blocks[0]), size) if size == end else None
    if rows is None:
        return _joined(arrays, [piece for block in blocks for piece in block.pieces(arrays)])
    for block in blocks:
        block.write(arrays, rows)
    return rows


def gradient_of(arrays: Arrays, blocks: Blocks, weights: Array) -> Array:
    """Return the weighted sum of the samples' gradients, ``(P,)``."""
    return _joined(arrays, [piece for block in blocks for piece in block.total(arrays, weights)])


def slopes_along(arrays: Arrays, blocks: Blocks, vectors: Array) -> Array:
    """Return the slopes of the samples along one vector ``(P,)``, shape ``(n,)``, or along K, ``(K, n)``."""
    if vectors.ndim == 1:
        return slopes_along(arrays, blocks, vectors[None])[0]
    return summed(block.slopes(arrays, vectors) for block in blocks)


def inner_products(arrays: Arrays, left: Blocks, right: Blocks) -> Array:
    """Return the inner products of the gradients of n and of m samples, ``(n, m)``."""
    return summed(mine.inner(arrays, theirs) for mine, theirs in zip(left, right, strict=True))


def squared_norms_of(arrays: Arrays, blocks: Blocks) -> Array:
    """Return the squared norms of the samples' gradients, ``(n,)``."""
    return summed(block.squared_norms(arrays) for block in blocks)


def _joined(arrays: Arrays, pieces: Sequence[Piece]) -> Array:
    return arrays.concatenate([part for _, part in sorted(pieces, key=lambda piece: piece[0])])
