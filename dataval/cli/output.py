"""Writing a file that the user named: in one exchange, and only in place of an earlier result."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dataval.cli.errors import UsageError

__all__ = ["check_folder", "check_is_not_input", "check_output", "write_atomically"]

_DEVICES = ("/dev", "/proc", "/sys")


def check_output(path: Path, inputs: Iterable[Path], signature: bytes) -> None:
    """Raise unless a file can be written here without harm.

    Parameters
    ----------
    path : Path
        What is to be written.
    inputs : iterable of Path
        What is read; an output is none of them, under whatever name.
    signature : bytes
        What a file that was written earlier begins with; only such a file, or an empty one, is replaced.

    Raises
    ------
    UsageError
        If the path is an input, a link, a folder, a device, a file of something else, or can't be written.
    """
    check_is_not_input(path, inputs)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        raise UsageError(f"can't write {path}: {getattr(error, 'strerror', None) or error}") from error
    if mode is not None:
        _check_replaceable(path, mode, signature)
    check_folder(path.absolute().parent, path)


def check_is_not_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise if a path leads to the same file as an input, or would on a disk that ignores case."""
    for source in inputs:
        if _is_same(path, source):
            raise UsageError(f"the output {path} is the input {source}: choose another name")


def check_folder(folder: Path, path: Path) -> None:
    """Raise unless files can be made in a folder; `path` is what messages name."""
    real = os.path.realpath(folder)
    if any(real == device or real.startswith(f"{device}/") for device in _DEVICES) and not real.startswith(
        "/dev/shm"
    ):
        raise UsageError(f"can't write {path}: it is among the devices; leave --out out for standard output")
    if not folder.is_dir():
        raise UsageError(f"can't write {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"can't write {path}: the folder {folder} can't be written to")


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file, part by part, beside its place and move it there, so that it is the old one or the new.

    Raises
    ------
    UsageError
        If it can't be written; nothing is left behind.
    """
    scratch = path.absolute().with_name(f".dataval-{secrets.token_hex(8)}.tmp")
    try:
        with scratch.open("xb") as stream:
            for part in [content] if isinstance(content, bytes) else content:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        if path.exists():
            scratch.chmod(stat.S_IMODE(path.stat().st_mode))
        scratch.replace(path)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def _is_same(path: Path, source: Path) -> bool:
    with suppress(OSError, ValueError):
        if path.samefile(source):
            return True
    with suppress(OSError, ValueError):
        return os.path.realpath(path).casefold() == os.path.realpath(source).casefold()
    return False


def _check_replaceable(path: Path, mode: int, signature: bytes) -> None:
    if stat.S_ISLNK(mode):
        raise UsageError(f"can't write {path}: it is a link; name the file that it leads to")
    if stat.S_ISDIR(mode):
        raise UsageError(f"can't write {path}: it is a folder; name a file")
    if not stat.S_ISREG(mode):
        raise UsageError(f"can't write {path}: it is a device or a pipe; leave --out out for standard output")
    try:
        with path.open("rb") as stream:
            start = stream.read(len(signature))
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from error
    if start not in (b"", signature):
        raise UsageError(f"{path} exists and is no earlier result: remove it, or choose another name")
    if not os.access(path, os.W_OK):
        raise UsageError(f"can't write {path}: it is read-only")
