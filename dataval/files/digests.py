"""Digests: of bytes, of files, of arrays by name, and of a JSON document within itself."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.errors import DamagedFileError

__all__ = ["array_digest", "digest", "file_digest", "open_plain", "read_document", "sealed", "unsealed"]

_SEAL = "digest"
_BYTES = 16


def digest(data: bytes) -> str:
    """Return 32 hexadecimal digits that other bytes don't have."""
    return hashlib.blake2b(data, digest_size=_BYTES).hexdigest()


def file_digest(path: Path) -> str:
    """Return the `digest` of a file's content, read piece by piece.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is a folder or a device.
    """
    with open_plain(path) as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=_BYTES)).hexdigest()


def array_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return one digest of the names, shapes, dtypes and values of several arrays."""
    state = hashlib.blake2b(digest_size=_BYTES)
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        state.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading that has an end: no folder, pipe or device, which might never return.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is something else.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DamagedFileError(f"{path} is damaged: it is no regular file")
    return os.fdopen(descriptor, "rb")


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its own digest in it, over its content: spaces and order don't count."""
    return {**document, _SEAL: _content_digest(document)}


def unsealed(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return what `sealed` was given.

    Parameters
    ----------
    document : dict
        The sealed one.
    path : Path
        Where it was read, for the message.

    Raises
    ------
    DamagedFileError
        If the content is not the one that the digest was made of.
    """
    content = {key: value for key, value in document.items() if key != _SEAL}
    if document.get(_SEAL) != _content_digest(content):
        raise DamagedFileError(f"{path} is damaged: its content doesn't match its digest")
    return content


def read_document(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object; its seal is not looked at.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it holds something else.
    """
    with open_plain(path) as stream:
        data = stream.read()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged: it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise DamagedFileError(f"{path} is damaged: it holds no JSON object")
    return document


def _content_digest(document: Mapping[str, Any]) -> str:
    return digest(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
