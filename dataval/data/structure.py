"""Nested tuples and dicts of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["concatenated", "first_leaf", "leaves", "map_leaves", "map_named"]


def map_named(function: Callable[[str, Any], Any], structure: Any, name: str = "X") -> Any:
    """Apply a function of (name, leaf) to every leaf, keeping the structure: ``X``, ``X[0]``, ``X['a'][1]``."""
    if isinstance(structure, Mapping):
        return {key: map_named(function, part, f"{name}[{key!r}]") for key, part in structure.items()}
    if isinstance(structure, tuple):
        return tuple(map_named(function, part, f"{name}[{i}]") for i, part in enumerate(structure))
    return function(name, structure)


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """Apply a function to every leaf, keeping the structure."""
    return map_named(lambda _, leaf: function(leaf), structure)


def leaves(structure: Any, name: str = "X") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its name."""
    pairs: list[tuple[str, Any]] = []
    map_named(lambda leaf_name, leaf: pairs.append((leaf_name, leaf)), structure, name)
    yield from pairs


def concatenated(structures: list[Any]) -> Any:
    """Return structures of arrays that are alike as one, joined along the first axis."""
    if len(structures) == 1:
        return structures[0]
    named = [dict(leaves(each)) for each in structures]
    return map_named(lambda name, _: np.concatenate([each[name] for each in named]), structures[0])


def first_leaf(structure: Any) -> Any:
    """Return the first leaf, which tells how many samples there are."""
    return next(leaf for _, leaf in leaves(structure))
