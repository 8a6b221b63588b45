"""One block a layer, where its parameters are used in several places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch

from dataval.backend.layers import (
    LayerGradients,
    LinearGradients,
    LookupGradients,
    PlainGradients,
    TiedGradients,
)

__all__ = ["joined"]


def joined(blocks: Sequence[LayerGradients]) -> list[LayerGradients]:
    """Return blocks of which no two are of the same parameter."""
    uses: dict[int, int] = {}
    for block in blocks:
        for start, _ in block.spans:
            uses[start] = uses.get(start, 0) + 1
    found = [block for block in blocks if all(uses[start] == 1 for start, _ in block.spans)]
    shared = [block for block in blocks if any(uses[start] > 1 for start, _ in block.spans)]
    alike: dict[object, list[LayerGradients]] = {}
    for block in shared:
        alike.setdefault(_kind(block), []).append(block)
    merged = [_together(group) for group in alike.values()]
    if not _overlap(merged):
        return [*found, *merged]
    of_each: dict[tuple[int, int], list[LayerGradients]] = {}
    for part in chain.from_iterable(map(_split, merged)):
        of_each.setdefault(part.spans[0], []).append(part)
    return [*found, *(group[0] if len(group) == 1 else TiedGradients(group) for group in of_each.values())]


def _kind(block: LayerGradients) -> object:
    """Return what has to be equal for two uses to be those of one layer at more positions."""
    if isinstance(block, LinearGradients):
        return block.weight, block.bias, block.order, block.shape[1:]
    return type(block), block.spans


def _together(group: list[LayerGradients]) -> LayerGradients:
    """Return one block of uses of one kind."""
    first, *others = group
    for other in others:
        if isinstance(first, LinearGradients) and isinstance(other, LinearGradients):
            inputs, outputs = (
                torch.cat([first.inputs, other.inputs], 1),
                torch.cat([first.outputs, other.outputs], 1),
            )
            first = replace(first, inputs=inputs, outputs=outputs)
        elif isinstance(first, LookupGradients) and isinstance(other, LookupGradients):
            indices = np.concatenate([first.indices, other.indices], 1)
            first = replace(first, indices=indices, outputs=torch.cat([first.outputs, other.outputs], 1))
        elif isinstance(first, PlainGradients) and isinstance(other, PlainGradients):
            first = replace(first, rows=first.rows + other.rows)
    return first


def _overlap(blocks: Sequence[LayerGradients]) -> bool:
    starts = [start for block in blocks for start, _ in block.spans]
    return len(starts) > len({*starts})


def _split(block: LayerGradients) -> list[LayerGradients]:
    """Return blocks of one parameter each."""
    if not isinstance(block, LinearGradients) or block.weight is None or block.bias is None:
        return [block]
    return [replace(block, bias=None), replace(block, weight=None)]
