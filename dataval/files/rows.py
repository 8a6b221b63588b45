"""Rows of numbers that are computed one after the other, kept in a folder from which an interruption goes on.

The folder holds ``index.json`` (what the rows are of, with its own digest), ``rows.bin`` (the rows, to be
mapped into memory) and ``done.jsonl`` (a line for every stretch of rows that has reached the disk, with its
digest). A stretch counts once its line has an end; whatever was written after it is written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.errors import DamagedFileError, RunMismatchError
from dataval.files.atomic import exclusive, is_plain, is_scratch, write_atomic
from dataval.files.digests import digest, open_plain, read_document, sealed, unsealed

__all__ = ["KeptRows", "MappedRows", "RowsInMemory", "check_rows_folder"]

_FORMAT = 1
_MANIFEST, _ROWS, _DONE = "index.json", "rows.bin", "done.jsonl"
_READ_BYTES = 2**26


class RowsInMemory:
    """The same in memory.

    Parameters
    ----------
    key : dict
        What the rows are of.
    shape : (int, int)
    dtype : str
    """

    def __init__(self, key: Mapping[str, Any], shape: tuple[int, int], dtype: str) -> None:
        self.key, self.shape = dict(key), shape
        self._rows: NDArray[Any] = np.zeros(shape, dtype)
        self.n_done = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Do nothing: nobody else writes here."""
        yield

    def append(self, rows: NDArray[Any]) -> None:
        """Add the next rows."""
        self._rows[self.n_done : self.n_done + len(rows)] = rows
        self.n_done += len(rows)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows that are done."""
        return self._rows[start:stop]


class MappedRows:
    """Rows in a folder, read through a memory map.

    Parameters
    ----------
    folder : Path
        Made if needed.
    key : dict
        What the rows are of, fit for JSON: samples, states, options.
    shape : (int, int)
    dtype : str

    Raises
    ------
    RunMismatchError
        If the folder holds rows of something else; what differs is named.
    DamagedFileError
        If a file is not what was written.
    FileExistsError
        If the folder holds files of others, and no such rows.
    ValueError
        If the rows have a format of a later version.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], shape: tuple[int, int], dtype: str) -> None:
        self.folder, self.key, self.shape = folder, dict(key), shape
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._document = {
            "format": _FORMAT,
            "key": json.loads(json.dumps(key)),
            "shape": list(shape),
            "dtype": self._dtype.str,
        }
        self.n_done = 0
        if (folder / _MANIFEST).exists():
            self._open()
        else:
            check_rows_folder(folder)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read again what the folder holds."""
        self.__dict__.update(state)
        self._open()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only process that adds rows; those that another one has added meanwhile are taken.

        Raises
        ------
        OSError
            If the folder can't be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _MANIFEST
        with exclusive(path):
            if not path.exists():
                check_rows_folder(self.folder)
                text = json.dumps(sealed(self._document), indent=2) + "\n"
                write_atomic(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
            self._open()
            yield

    def append(self, rows: NDArray[Any]) -> None:
        """Add the next rows; once this returns, no kill of the process loses them."""
        data = np.ascontiguousarray(rows, self._dtype).tobytes()
        start, stop = self.n_done, self.n_done + len(rows)
        _write_at(self.folder / _ROWS, start * self._row_bytes, data)
        _write_at(self.folder / _DONE, self._log_end, line := _line(start, stop, digest(data)))
        self._log_end += len(line)
        self.n_done = stop

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows that are done."""
        n, width = stop - start, self.shape[1]
        if not n:
            return np.zeros((0, width), self._dtype)
        path = self.folder / _ROWS
        try:
            return np.memmap(path, self._dtype, "r", offset=start * self._row_bytes, shape=(n, width))
        except (OSError, ValueError) as error:
            raise DamagedFileError(f"{path} is damaged: {error}. {_ADVICE}") from error

    @property
    def _row_bytes(self) -> int:
        return self._dtype.itemsize * self.shape[1]

    def _open(self) -> None:
        path = self.folder / _MANIFEST
        if not path.exists():
            raise DamagedFileError(f"{path} is gone: {_ADVICE}")
        document = unsealed(read_document(path), path)
        version = document.get("format")
        if type(version) is not int or version > _FORMAT:
            raise ValueError(
                f"the index in {self.folder} has format {version}, this version of dataval reads up to "
                f"{_FORMAT}: upgrade dataval"
            )
        if document != self._document:
            raise RunMismatchError(
                f"{self.folder} holds the index of something else ({_differing(document, self._document)}): "
                "choose another folder, or remove it"
            )
        self.n_done, self._log_end = self._read_log()

    def _read_log(self) -> tuple[int, int]:
        """Return how many rows are done, after checking them, and where the log ends."""
        path = self.folder / _DONE
        if not path.exists():
            return 0, 0
        with open_plain(path) as stream:
            text = stream.read()
        lines = text.split(b"\n")[:-1]
        done = 0
        for line in lines:
            done = self._checked(line, done)
        return done, sum(len(line) + 1 for line in lines)

    def _checked(self, line: bytes, start: int) -> int:
        """Return where a stretch of rows ends that a line of the log tells of."""
        path = self.folder / _DONE
        try:
            entry = unsealed(dict(json.loads(line)), path)
            first, stop, content = int(entry["start"]), int(entry["stop"]), entry["rows"]
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedFileError(f"{path} is damaged: {_ADVICE}") from error
        if first != start or not start < stop <= self.shape[0]:
            raise DamagedFileError(f"{path} is damaged: it tells of rows {first} to {stop}. {_ADVICE}")
        if digest(self.read(start, stop).tobytes()) != content:
            raise DamagedFileError(
                f"{self.folder / _ROWS} is damaged: rows {start} to {stop} don't match their digest. {_ADVICE}"
            )
        return stop


KeptRows = RowsInMemory | MappedRows


def check_rows_folder(folder: Path) -> None:
    """Raise `FileExistsError` if a folder holds files and no rows, before any work."""
    if not folder.exists() or (folder / _MANIFEST).exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} exists and is no folder: choose another")
    for path in sorted(folder.iterdir()):
        if not is_scratch(path.name, _MANIFEST) or not is_plain(path):
            raise FileExistsError(
                f"{folder} exists and is not empty, it holds {path.name} and no index: choose another folder"
            )


_ADVICE = "Remove the folder, so that the index is built again"


def _line(start: int, stop: int, content: str) -> bytes:
    return json.dumps(sealed({"start": start, "stop": stop, "rows": content})).encode() + b"\n"


def _write_at(path: Path, offset: int, data: bytes) -> None:
    """Write bytes at a place in a file, wait until they are on the disk, and cut off what follows."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        os.ftruncate(descriptor, offset)
        rest, at = memoryview(data), offset
        while rest:
            n = os.pwrite(descriptor, rest, at)
            rest, at = rest[n:], at + n
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _differing(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Name what differs between two documents."""
    flat = [{**document.get("key", {}), **document} for document in (found, expected)]
    names = sorted({name for one in flat for name in one if name != "key"})
    told = [name for name in names if flat[0].get(name) != flat[1].get(name)]
    return "; ".join(f"its {name}: {flat[0].get(name)}, here {flat[1].get(name)}" for name in told[:3])
