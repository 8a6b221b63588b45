"""One block a layer, where its parameters are used in several places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tensorflow as tf

from dataval.backend.layers import (
    LayerGradients,
    LinearGradients,
    LookupGradients,
    PlainGradients,
    TiedGradients,
)

__all__ = ["joined", "taken", "tensors_of"]


def joined(blocks: Sequence[LayerGradients]) -> list[LayerGradients]:
    """Return blocks of which no two are of the same parameter."""
    alike: dict[object, list[LayerGradients]] = {}
    for block in blocks:
        alike.setdefault(_kind(block), []).append(block)
    merged = [_along_positions(group) for group in alike.values()]
    counts: dict[int, int] = {}
    for start, _ in (span for block in merged for span in block.spans):
        counts[start] = counts.get(start, 0) + 1
    if all(count == 1 for count in counts.values()):
        return merged
    found: list[LayerGradients] = []
    tied: dict[tuple[int, int], list[LayerGradients]] = {}
    for block in merged:
        if all(counts[start] == 1 for start, _ in block.spans):
            found.append(block)
            continue
        for part in _split(block):
            tied.setdefault(part.spans[0], []).append(part)
    return [*found, *(group[0] if len(group) == 1 else TiedGradients(group) for group in tied.values())]


def tensors_of(block: LayerGradients) -> list[tf.Tensor]:
    """Return what of a block differs from batch to batch."""
    match block:
        case TiedGradients():
            return [tensor for use in block.uses for tensor in tensors_of(use)]
        case LinearGradients():
            return [block.inputs, block.outputs]
        case LookupGradients():
            return [block.indices, block.outputs]
        case PlainGradients():
            return [block.rows]
    raise TypeError(f"no tensors of a {type(block).__name__} are known")


def taken(block: LayerGradients, tensors: list[tf.Tensor]) -> LayerGradients:
    """Return a block with the next tensors of a list, which are taken off it."""
    match block:
        case TiedGradients():
            return TiedGradients([taken(use, tensors) for use in block.uses])
        case LinearGradients():
            return replace(block, inputs=tensors.pop(0), outputs=tensors.pop(0))
        case LookupGradients():
            return replace(block, indices=tensors.pop(0).numpy(), outputs=tensors.pop(0))
        case PlainGradients():
            return replace(block, rows=tensors.pop(0))
    raise TypeError(f"no tensors of a {type(block).__name__} are known")


def _kind(block: LayerGradients) -> object:
    """Return what has to be equal for the positions of two uses to be those of one layer."""
    match block:
        case LinearGradients():
            return LinearGradients, block.weight, block.bias, block.order, block.shape[1:]
        case LookupGradients():
            return LookupGradients, block.weight, int(block.outputs.shape[-1])
        case PlainGradients():
            return PlainGradients, block.start, int(block.rows.shape[-1])
    return id(block)


def _along_positions(group: list[LayerGradients]) -> LayerGradients:
    if len(group) == 1:
        return group[0]
    parts = [tensors_of(block) for block in group]
    if isinstance(group[0], PlainGradients):
        return replace(group[0], rows=tf.add_n([rows for (rows,) in parts]))
    first, second = (tf.concat(tensors, axis=1) for tensors in zip(*parts, strict=True))
    if isinstance(group[0], LookupGradients):
        return replace(group[0], indices=first, outputs=second)
    assert isinstance(group[0], LinearGradients)
    return replace(group[0], inputs=first, outputs=second)


def _split(block: LayerGradients) -> list[LayerGradients]:
    """Return blocks of one parameter each."""
    if not isinstance(block, LinearGradients) or block.weight is None or block.bias is None:
        return [block]
    return [replace(block, bias=None), replace(block, weight=None)]
