"""Arrays that lie in a file: pages that were read are given back, and what is known of a file is remembered."""

from __future__ import annotations

import mmap
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["content_key", "is_mapped", "map_place", "open_place", "release", "take_rows"]

_SHARED_MODES = {"r", "r+", "w+"}  # pages of a private map ("c") hold what was written: those are never dropped
_KEPT_BYTES = 2**26  # a map that is smaller stays where it is
_ROWS = 16  # each may bring in as much as the system reads at once, a MiB or two


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether an array's values lie in a file."""
    return _map_of(array) is not None


def release(array: NDArray[Any]) -> None:
    """Give the pages of a large map that were read back to the system, which keeps what it has room for.

    Nothing changes but the memory that counts as this process's.
    """
    found = _map_of(array)
    if _is_large_map(found) and hasattr(mmap, "MADV_DONTNEED"):
        found._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[union-attr]


def take_rows(array: NDArray[Any], indices: NDArray[np.int64] | slice) -> NDArray[Any]:
    """Return rows of an array; of a large map a copy that is read a few at a time, lest all of it come in."""
    if isinstance(indices, slice) or not _is_large_map(array):
        return array[indices]
    found = np.empty((len(indices), *array.shape[1:]), array.dtype)
    for start in range(0, len(indices), _ROWS):
        found[start : start + _ROWS] = array[indices[start : start + _ROWS]]
        release(array)
    return found


def content_key(array: NDArray[Any]) -> Hashable | None:
    """Return what tells the content of a map without reading it; None where it may change unseen.

    A file's time of change is of use only where this process can't write to the map itself.
    """
    found = _map_of(array)
    if found is None or found.filename is None or found.mode != "r":
        return None
    try:
        stat = Path(found.filename).stat()
    except OSError:
        return None
    file = str(found.filename), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
    return (*file, _offset(array, found), array.shape, array.strides, array.dtype.str)


def map_place(array: NDArray[Any]) -> tuple[Any, ...] | None:
    """Return what `open_place` makes a view of a map again from; None where that would not be the same values.

    A map that is written to in memory alone ("c") holds what its file doesn't.
    """
    found = _map_of(array)
    if found is None or found.filename is None or found.mode not in _SHARED_MODES or min(array.strides) < 0:
        return None
    return str(found.filename), _offset(array, found), array.shape, array.strides, array.dtype


def open_place(
    filename: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Open a view of a map, to be read only.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    """
    if not Path(filename).exists():
        raise FileNotFoundError(
            f"samples lie in the file {filename}, which is not there: put it on a disk that every worker sees, "
            "under the same name"
        )
    n_bytes = sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) + dtype.itemsize
    opened = np.memmap(filename, mode="r", offset=offset, shape=(n_bytes,), dtype=np.uint8)
    return np.ndarray(shape, dtype, opened, 0, strides)


def _offset(array: NDArray[Any], found: np.memmap[Any, Any]) -> int:
    """Return the place in a map's file at which a view of it begins."""
    address: int = array.__array_interface__["data"][0]
    return address - int(found.__array_interface__["data"][0]) + found.offset


def _is_large_map(array: Any) -> bool:
    """Whether an array lies in a large file, whose pages can be dropped as they can be read again."""
    found = _map_of(array)
    return found is not None and found.mode in _SHARED_MODES and found.nbytes >= _KEPT_BYTES


def _map_of(array: Any) -> np.memmap[Any, Any] | None:
    """Return the outermost memory map that an array is a view of: the one that was opened."""
    found = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            found = array
        array = array.base
    return found
