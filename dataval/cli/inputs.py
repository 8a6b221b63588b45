"""Files that a user names as input: only regular ones are opened, and never more read than makes sense."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path

from dataval.cli.errors import UsageError

__all__ = ["check_input", "check_size", "decode", "find_encoding", "read_limited"]

_MIB = 2**20
_PROBE, _PART = 2**16, 2**20
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def check_input(path: Path) -> None:
    """Raise unless a path leads to a regular file.

    Raises
    ------
    UsageError
        For what does not exist, folders, devices, pipes and sockets, which could block or never end.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder: name a file")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is a device or a pipe: save what it holds as a file and name that")


def read_limited(path: Path, most: int, advice: str) -> bytes:
    """Return a file's bytes.

    Parameters
    ----------
    path : Path
        What is read.
    most : int
        Largest size in bytes.
    advice : str
        What to do about a larger one.

    Raises
    ------
    UsageError
        If it is no regular file, can't be read, or is larger.
    """
    check_input(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror or error}") from error
    check_size(path, len(content), most, advice)
    return content


def check_size(path: Path, size: int, most: int, advice: str) -> None:
    """Raise if a file's content is larger than `most` bytes."""
    if size > most:
        shown = f"{most // _MIB} MiB" if most >= _MIB else f"{most // 1024} KiB"
        raise UsageError(f"{path} holds more than {shown}: {advice}")


def decode(content: bytes, path: Path) -> str:
    """Return bytes as text: UTF-8, or UTF-16 where a byte order mark says so.

    Raises
    ------
    UsageError
        If they are neither, or hold NUL bytes as binary files do.
    """
    encoding = _marked(content)
    try:
        return _without_nul(content.decode(encoding), path)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8, or convert it with iconv"
        ) from error


def find_encoding(content: bytes, path: Path) -> str:
    """Return the encoding of a text: UTF-8, UTF-16 where a mark says so, or Windows' Western one (cp1252).

    Raises
    ------
    UsageError
        If the bytes are none of these.
    """
    marked = _marked(content)
    odd = _first_odd(content, marked, path)
    if odd is None:
        return marked
    start = content[:_PROBE].decode("cp1252", "replace")
    if marked != "utf-8" or not all(c.isprintable() or c in "\r\n\t" for c in start) or "\ufffd" in start:
        raise UsageError(f"{path} is not UTF-8 text (byte {odd}): save it as UTF-8, or convert it with iconv")
    if (odd := _first_odd(content, "cp1252", path)) is not None:
        raise UsageError(f"{path} is not UTF-8 text (byte {odd}): save it as UTF-8, or convert it with iconv")
    return "cp1252"


def _first_odd(content: bytes, encoding: str, path: Path) -> int | None:
    """Return where a text can't be decoded, or None; a part of it at a time."""
    decoder = codecs.getincrementaldecoder(encoding)()
    view = memoryview(content)
    for start in range(0, len(content) + 1, _PART):
        part = view[start : start + _PART]
        try:
            _without_nul(decoder.decode(part, final=start + _PART > len(content)), path)
        except UnicodeDecodeError as error:
            return start + error.start
    return None


def _marked(content: bytes) -> str:
    return next((name for bom, name in _BOMS.items() if content.startswith(bom)), "utf-8")


def _without_nul(text: str, path: Path) -> str:
    if "\0" in text:
        raise UsageError(f"{path} holds NUL bytes, as binary files do: save it as UTF-8 text")
    return text
