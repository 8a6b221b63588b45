"""Reading arrays from a ``.npz`` file that may be broken, or declare more than it holds."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.errors import UsageError
from dataval.cli.inputs import check_input
from dataval.cli.table import shown

__all__ = ["as_images", "read_arrays"]

_MOST_BYTES = 2**32
_BOMB_BYTES, _BOMB_RATIO = 2**27, 200
_BYTE = 255.0
_BROKEN = (
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    TypeError,
    SyntaxError,
    MemoryError,  # of Python's parser, for a header that is nested too deeply, too
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)

Array = npt.NDArray[Any]


def read_arrays(path: Path, label: str) -> tuple[Array, Array]:
    """Return the arrays ``X`` and `label`.

    Raises
    ------
    UsageError
        If the file can't be read without pickle, has no such arrays, declares more bytes than it holds or than
        can be meant, or the arrays don't fit each other.
    """
    check_input(path)
    try:
        with zipfile.ZipFile(path) as archive:
            X, labels = (_read(archive, name, path) for name in ("X", label))
        if labels.dtype.kind == "S":
            labels = labels.astype(str)
    except _BROKEN as error:
        raise UsageError(f"{path} can't be read as .npz without pickle: {error}") from error
    if labels.ndim != 1 or not len(labels) or X.ndim < 2 or len(X) != len(labels) or not X.size:
        raise UsageError(
            f"{path}: X has shape {X.shape} and {label} {labels.shape}: give X (n, ...) and labels (n,)"
        )
    if X.dtype.kind not in "biuf" or not np.isfinite(X).all():
        raise UsageError(f"{path}: X must hold finite numbers, it is {X.dtype}")
    if labels.dtype.kind not in "biufU":
        raise UsageError(f"{path}: {label} must hold numbers or text, it is {labels.dtype}")
    return X, labels


def as_images(X: Array) -> npt.NDArray[np.float32]:
    """Bring images to (n, channels, height, width), bytes to [0, 1]."""
    if X.ndim == 3:
        X = X[:, None]
    elif X.shape[-1] in (1, 3) and X.shape[1] not in (1, 3):
        X = np.moveaxis(X, -1, 1)
    with np.errstate(over="ignore"):
        pixels = X.astype(np.float32)
    return pixels / np.float32(_BYTE) if X.dtype == np.uint8 else pixels


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> Array:
    members = [each for each in archive.infolist() if each.filename == f"{name}.npy"]
    if not members:
        held = sorted(member.removesuffix(".npy") for member in archive.namelist())
        raise UsageError(f"{path} holds no array {name!r}; it holds {shown(held) or 'nothing'}")
    if len(members) > 1:
        raise ValueError(f"there are {len(members)} arrays {name!r}")
    if members[0].compress_size > path.stat().st_size:
        raise ValueError(f"{members[0].filename} declares more bytes than the file has")
    _check_size(archive, members[0])
    with archive.open(members[0]) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _check_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise before anything is allocated where a header declares what the file doesn't hold."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        held = member.file_size - stream.tell()
    declared = prod(shape) * dtype.itemsize
    if any(side < 0 for side in shape) or (declared != held and not dtype.hasobject):
        raise ValueError(f"{member.filename} declares shape {shape} of {dtype} but holds {held} bytes")
    if declared > _MOST_BYTES:
        raise ValueError(f"{member.filename} is larger than {_MOST_BYTES // 2**30} GiB: pass a part of it")
    if declared > max(_BOMB_BYTES, _BOMB_RATIO * member.compress_size):
        raise ValueError(
            f"{member.filename} unpacks to {declared // max(1, member.compress_size)} times its size"
        )
