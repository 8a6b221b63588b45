"""Writing a file so that its name stands for the old content or the new one, never for a part of it.

New content goes to a scratch file beside the target, reaches the disk, and is renamed over the target. Writers
of one target wait for each other at a lock file, which goes with the last of them; so a scratch file that a
writer meets was left by one that was killed, and is removed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from secrets import token_hex

__all__ = ["exclusive", "is_plain", "is_scratch", "remove_scratch", "scratch_for", "settle", "write_atomic"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_SCRATCH = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{16}\.tmp")


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function write a file, and give it its name once all of it is on the disk.

    Parameters
    ----------
    path : Path
        The target. What has this name is replaced, if it is a link then the link itself.
    write : callable
        Gets the path of a scratch file in the same folder, which it is to write.

    Raises
    ------
    OSError
        If it can't be written; the target is then as it was, and the scratch file is gone.
    """
    scratch = scratch_for(path)
    try:
        write(scratch)
        settle(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def scratch_for(path: Path) -> Path:
    """Return a name beside a target that nobody else uses."""
    return path.with_name(f".{path.name}.{token_hex(8)}.tmp")


def settle(scratch: Path, path: Path) -> None:
    """Give a written file its name, and return when both are on the disk."""
    _sync(scratch)
    scratch.replace(path)
    _sync(path.parent)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Be the only one, in all processes, to write `path`: wait until nobody else does.

    Held by ``flock`` on a file beside it, which NFS passes on to other machines; on a file system without locks
    nobody waits.

    Raises
    ------
    FileExistsError
        If the lock's name is taken by something else.
    """
    lock = path.with_name(f".{path.name}.lock")
    descriptor = _acquire(lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def is_plain(path: Path) -> bool:
    """Whether this is a regular file and no link to one, or nothing at all."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def is_scratch(name: str, of: str) -> bool:
    """Whether a file's name is that of a scratch file, or of the lock, for the target named `of`."""
    found = _SCRATCH.fullmatch(name)
    return name == f".{of}.lock" or (found is not None and found["target"] == of)


def remove_scratch(path: Path) -> None:
    """Remove the scratch files of killed writers of `path`; to be called by who holds `exclusive`."""
    for other in path.parent.iterdir():
        if is_scratch(other.name, path.name) and other.suffix == ".tmp" and is_plain(other):
            other.unlink(missing_ok=True)


def _acquire(lock: Path) -> int:
    """Return a descriptor of the lock file, locked; again where its last holder has just removed it."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _wait(descriptor)
            held = os.fstat(descriptor)
            if held.st_size or not stat.S_ISREG(held.st_mode):
                raise FileExistsError(f"{lock} is no lock of dataval's: remove it or choose another folder")
            if _is_at(held, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(held: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(held, path.lstat())
    except FileNotFoundError:
        return False


def _wait(descriptor: int) -> None:
    try:
        flock(descriptor, LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that can't do this for folders
            raise
    finally:
        os.close(descriptor)
