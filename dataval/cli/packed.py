"""Compressed files, unpacked up to a size that makes sense."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataval.cli.errors import UsageError
from dataval.cli.inputs import check_input, check_size, read_limited

__all__ = ["PACKED_SUFFIXES", "plain_name", "unpacked"]

_MOST_BYTES = 2**31
_ADVICE = "pass a part of it, or Parquet"
_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


def _open_zip(path: Path, _: str) -> Any:
    archive = zipfile.ZipFile(path)
    members = [
        each for each in archive.infolist() if not each.is_dir() and not each.filename.startswith("__MAC")
    ]
    if len(members) != 1:
        raise ValueError(f"it holds {len(members)} files, one is needed")
    return archive.open(members[0])


def _open_zst(path: Path, _: str) -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise UsageError(f"{path} needs pyarrow: pip install 'dataval[tables]'") from error
    return pa.input_stream(str(path), compression="zstd")


_OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zip": _open_zip,
    ".zst": _open_zst,
}
PACKED_SUFFIXES = tuple(_OPENERS)


def plain_name(path: Path) -> str:
    """Return a file's name in small letters, without what says how it is compressed."""
    name = path.name.lower()
    for suffix in _OPENERS:
        name = name.removesuffix(suffix)
    return name


def unpacked(path: Path) -> bytes:
    """Return a file's content, unpacked.

    Raises
    ------
    UsageError
        If it can't be read or unpacked, or holds more than 2 GiB.
    """
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        return read_limited(path, _MOST_BYTES, _ADVICE)
    check_input(path)
    try:
        with opener(path, "rb") as stream:
            content = bytes(stream.read(_MOST_BYTES + 1))
    except _BROKEN as error:
        raise UsageError(f"{path} can't be unpacked: {error}") from error
    check_size(path, len(content), _MOST_BYTES, _ADVICE)
    return content
