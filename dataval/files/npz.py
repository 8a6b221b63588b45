"""NumPy's ``.npz`` with a digest in it, read without trust: no pickle, no size that the file doesn't hold."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dataval.errors import DamagedFileError
from dataval.files.digests import array_digest, open_plain

__all__ = ["read_npz", "write_npz"]

_SEAL = "digest"
_HARMLESS = 2**30
_MOST_COMPRESSED = 100


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name, compressed, with one digest of them all."""
    with path.open("xb") as stream:
        np.savez_compressed(stream, **{**arrays, _SEAL: np.array(array_digest(arrays))})  # type: ignore[arg-type]


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read arrays by name; where there is a digest, it is checked.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is no such file, holds pickled objects, or claims sizes that it doesn't hold.
    """
    with open_plain(path) as stream:
        try:
            arrays = _read(stream, path.stat().st_size)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, struct.error) as error:
            raise DamagedFileError(f"{path} is damaged: {error}") from error
        except (NotImplementedError, RuntimeError, SyntaxError, TypeError) as error:
            raise DamagedFileError(f"{path} is damaged: it is no file of NumPy's ({error})") from error
    seal = arrays.pop(_SEAL, None)
    if seal is not None and (seal.dtype.kind != "U" or str(seal) != array_digest(arrays)):
        raise DamagedFileError(f"{path} is damaged: its content doesn't match its digest")
    return arrays


def _read(stream: BinaryIO, size: int) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        claimed = sum(member.file_size for member in members)
        if claimed > max(_HARMLESS, _MOST_COMPRESSED * size):
            raise ValueError(f"it claims to hold {claimed} bytes, far more than can be in its {size}")
        return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array, once its header is known to claim no more than its member holds."""
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, _, dtype = read_header(stream)
        claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.hasobject or claimed != member.file_size - stream.tell():
            raise ValueError(f"{member.filename} claims shape {shape} of {dtype}, which it doesn't hold")
    with archive.open(member) as stream:
        return npy.read_array(stream, allow_pickle=False)
