"""What arrays hold, found in pieces of bounded size: hashes, and values that are not finite.

A memory map is read once for all of these; what was found is remembered as long as its file doesn't change.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dataval.data.maps import content_key, is_mapped, release

__all__ = ["Contents", "checksum", "first_not_finite", "read_contents"]

Named = Iterable[tuple[str, NDArray[Any]]]

_CHUNK_BYTES = 2**26
_N_REMEMBERED = 32


@dataclass(frozen=True)
class Contents:
    """What several arrays hold.

    Attributes
    ----------
    fingerprint : str
        A hash of every name, shape, dtype and value, in order.
    not_finite : dict of str to int
        The first sample of each memory map that has NaN or infinity, by the map's name.
    """

    fingerprint: str
    not_finite: dict[str, int]


def read_contents(arrays: Named) -> Contents:
    """Read arrays through, but for maps whose file was read before and is what it was."""
    state = _State(hashlib.blake2b(digest_size=16), None)
    not_finite = {}
    for name, array in arrays:
        state.digest.update(f"{name}{array.shape}{array.dtype.str}".encode())
        state = _after(state, array)
        if state.not_finite is not None:
            not_finite[name] = state.not_finite
    return Contents(state.digest.hexdigest(), not_finite)


def checksum(arrays: Named) -> int:
    """Return a number that changes where a value does; cheaper than a hash where all arrays are in memory."""
    listed = list(arrays)
    if any(is_mapped(array) for _, array in listed):
        return crc32(read_contents(listed).fingerprint.encode())
    found = 0
    for _, array in listed:
        for chunk in chunks(array):
            found = crc32(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data, found)
    return found


def first_not_finite(array: NDArray[Any]) -> int | None:
    """Return the first sample that has NaN or infinity; None if there is none."""
    if array.dtype.kind != "f":
        return None
    start = 0
    for chunk in chunks(array):
        finite = np.isfinite(chunk)
        if not finite.all():
            return start + int(np.argmin(finite.reshape(len(chunk), -1).all(axis=1)))
        start += len(chunk)
    return None


def chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an array in pieces of bounded size; pages of a map are given back after each."""
    rows = max(1, int(_CHUNK_BYTES // max(1, array[:1].nbytes)))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
        release(array)


@dataclass
class _State:
    """How far the hash has come, and the first sample of the last array that isn't finite."""

    digest: Any
    not_finite: int | None

    def copy(self) -> _State:
        return _State(self.digest.copy(), self.not_finite)


_remembered: OrderedDict[Hashable, _State] = OrderedDict()


def _after(state: _State, array: NDArray[Any]) -> _State:
    """Return the state after an array, from memory where it is a map that was read in this very place."""
    content = content_key(array)
    if content is None:
        return _read(state, array)
    key = content, state.digest.digest()
    if key not in _remembered:
        _remembered[key] = _read(state, array)
        if len(_remembered) > _N_REMEMBERED:
            _remembered.popitem(last=False)
    _remembered.move_to_end(key)
    return _remembered[key].copy()


def _read(state: _State, array: NDArray[Any]) -> _State:
    looks_for_nan = array.dtype.kind == "f" and is_mapped(array)
    start, bad = 0, None
    for chunk in chunks(array):
        contiguous = np.ascontiguousarray(chunk)
        state.digest.update(contiguous.data)
        if looks_for_nan and bad is None:
            at = first_not_finite(contiguous)
            bad = None if at is None else start + at
        start += len(chunk)
    return _State(state.digest, bad)
