"""Samples put together into arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data.arrays import as_numbers
from dataval.data.structure import leaves
from dataval.errors import InvalidDataError

__all__ = ["plain", "stack"]


def stack(samples: Sequence[Any], indices: NDArray[np.int64], what: str) -> Any:
    """Return samples of one structure as that structure of arrays, the samples along the first axis.

    Parameters
    ----------
    samples : sequence
        As a data set gives them: arrays, numbers, lists of numbers, nested tuples and dicts of these.
    indices : ndarray of int64
        What messages call each.
    what : str
        What messages call the data.

    Raises
    ------
    InvalidDataError
        If one differs from the first in structure or shape, or is no number; the sample is named.
    """
    structures = [plain(sample) for sample in samples]
    return _stacked(structures, indices, "sample", what)


def plain(given: Any) -> Any:
    """Return nested mappings as dicts, and sequences that hold more than numbers as tuples."""
    if isinstance(given, Mapping):
        return {key: plain(part) for key, part in given.items()}
    if isinstance(given, tuple) or (isinstance(given, list) and any(map(_is_part, given))):
        return tuple(map(plain, given))
    return given


def _is_part(given: Any) -> bool:
    """Whether this is an array or a structure rather than a number or a list of numbers."""
    return isinstance(given, Mapping | tuple | str | bytes) or getattr(given, "ndim", 0) > 0


def _stacked(parts: list[Any], indices: NDArray[np.int64], name: str, what: str) -> Any:
    first = parts[0]
    for part, index in zip(parts, indices.tolist(), strict=True):
        if _structure(part) != _structure(first):
            raise InvalidDataError(
                f"the {what} sample {index} is made of {_described(part)}, sample {indices[0]} of "
                f"{_described(first)}: all samples must be alike"
            )
    if isinstance(first, dict):
        return {
            key: _stacked([part[key] for part in parts], indices, f"{name}[{key!r}]", what) for key in first
        }
    if isinstance(first, tuple):
        return tuple(
            _stacked([part[i] for part in parts], indices, f"{name}[{i}]", what) for i in range(len(first))
        )
    return _joined(parts, indices, name, what)


def _joined(parts: list[Any], indices: NDArray[np.int64], name: str, what: str) -> NDArray[Any]:
    """Return one array of what all samples have at one place."""
    arrays = [
        as_numbers(part, f"{name} of sample {index}", what)
        for part, index in zip(parts, indices.tolist(), strict=True)
    ]
    for array, index in zip(arrays, indices.tolist(), strict=True):
        if array.shape != arrays[0].shape:
            raise InvalidDataError(
                f"{name} of the {what} sample {index} has shape {array.shape}, of sample {indices[0]} "
                f"{arrays[0].shape}: make them equal (resize, pad or crop), or pass a DataLoader whose "
                "collate_fn does"
            )
    return np.stack(arrays)


def _structure(part: Any) -> Any:
    if isinstance(part, dict):
        return set(part)
    return len(part) if isinstance(part, tuple) else None


def _described(part: Any) -> str:
    if isinstance(part, dict | tuple):
        return f"a {type(part).__name__} of {[name for name, _ in leaves(part, '')]}"
    return f"a {type(part).__name__}"
