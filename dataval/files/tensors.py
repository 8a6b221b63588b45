"""safetensors: written in one pass without a copy, read with every failure named.

The library's own ``save_file`` goes through a scratch file of a name that can't be known, which a kill leaves
behind, and makes files that only their owner can read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dataval.errors import DamagedFileError
from dataval.files.digests import open_plain

__all__ = ["read_tensors", "write_tensors"]

_DTYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "|u1": "U8", "|b1": "BOOL"}


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name into a new file.

    Raises
    ------
    TypeError
        If an array has a dtype that is not written.
    """
    ready = {name: _little_endian(arrays[name], name) for name in sorted(arrays)}
    ready = dict(sorted(ready.items(), key=lambda item: -item[1].itemsize))  # so that all are aligned
    header, offset = {}, 0
    for name, array in ready.items():
        end = offset + array.nbytes
        dtype = _DTYPES[array.dtype.str]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (offset, end)}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for array in ready.values():
            stream.write(array.reshape(-1).view(np.uint8).data)


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read arrays by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is no safetensors file.
    """
    open_plain(path).close()
    try:
        return load_file(path)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error


def _little_endian(array: NDArray[Any], name: str) -> NDArray[Any]:
    found = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if found.dtype.str not in _DTYPES:
        raise TypeError(f"{name} has dtype {array.dtype}, which can't be saved")
    return found
