"""Finished retrainings by name, kept in a folder that any number of processes and machines write to at once.

Every writer has a file of its own in ``retrained-<key>/`` and only ever appends lines to it, so that none
waits for another, nothing is written twice, and no lock or rename has to work on a shared disk. A line is a
record in JSON, with the digest of all that follows it. The last line of a file has no end yet while it is
written, or where its writer was killed: it doesn't count. Files may be joined by ``cat``, or copied from one
machine's folder to another's.
"""

from __future__ import annotations

import json
import os
import re
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.errors import DamagedFileError, DamagedFileWarning
from dataval.files.digests import digest, open_plain, read_document

__all__ = ["Store"]

FloatArray = NDArray[np.float64]

_FORMAT = 2  # format 1 was one JSON object in retrained-<key>.json, which is still read
_SUFFIX = ".jsonl"
_LINE = re.compile(rb'\{"digest": "(?P<digest>[0-9a-f]{32})", (?P<rest>.*)')


class Store:
    """Results by name, in memory and, where a folder is given, on disk.

    Parameters
    ----------
    folder : path, optional
        What it holds already is read at once.
    key : str
        Results of other keys in the folder are not seen.

    Raises
    ------
    FileExistsError
        If the folder's name is taken by something else.
    ValueError
        If a record has a format of a later version.

    Warns
    -----
    DamagedFileWarning
        If a record or a file is damaged. It is left out, so that its results are computed again.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder = None if folder is None else folder / f"retrained-{key}"
        self._key = key
        self._results: dict[str, FloatArray] = {}
        self._file: Path | None = None
        self._owner = 0
        if folder is not None and folder.exists() and not folder.is_dir():
            raise FileExistsError(f"{folder} is no folder: choose another one to keep results in")
        if self._folder is not None:
            self._results = _read_format_1(Path(f"{self._folder}.json")) | _read_all(self._folder, key)

    def __contains__(self, name: str) -> bool:
        return name in self._results

    def take(self, names: Sequence[str]) -> FloatArray:
        """Return the results of these names in one array.

        Raises
        ------
        DamagedFileError
            If results of different shapes are kept under the key.
        """
        found = [self._results[name] for name in names]
        if len({result.shape for result in found}) > 1:
            raise DamagedFileError(f"{self._folder} holds results of different shapes: remove it")
        return np.array(found)

    def prepare(self) -> None:
        """Make the folder, so that one that can't be written to is named before anything is trained.

        Raises
        ------
        OSError
            If it can't be made or written to.
        """
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(f"{self._folder} can't be written to: choose another folder")

    def add(self, results: Mapping[str, FloatArray]) -> None:
        """Keep results; once this returns, no kill of the process loses them.

        Raises
        ------
        OSError
            If they can't be written. None of them is on disk then.
        """
        ready = {name: np.asarray(result, dtype=np.float64) for name, result in results.items()}
        self._results |= ready
        self.prepare()
        if self._folder is not None:
            _append(self._own_file(self._folder), b"".join(self._lines(ready)))

    def _own_file(self, folder: Path) -> Path:
        """Return the file that this process alone writes: another one after a fork."""
        if self._file is None or self._owner != os.getpid():
            self._owner = os.getpid()
            host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
            self._file = folder / f"{host}-{self._owner}-{token_hex(8)}{_SUFFIX}"
        return self._file

    def _lines(self, results: Mapping[str, FloatArray]) -> Iterator[bytes]:
        for name, result in results.items():
            record = {"format": _FORMAT, "key": self._key, "name": name, "value": result.tolist()}
            rest = json.dumps(record)[1:]
            yield f'{{"digest": "{digest(rest.encode())}", {rest}\n'.encode()


def _append(path: Path, data: bytes) -> None:
    """Append all of some bytes, or nothing of them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        before = os.fstat(descriptor).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BaseException:
            os.ftruncate(descriptor, before)
            if not before:
                path.unlink()
            raise
    finally:
        os.close(descriptor)


def _read_all(folder: Path, key: str) -> dict[str, FloatArray]:
    results: dict[str, FloatArray] = {}
    if folder.is_dir():
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            results |= _read_file(path, key)
    return results


def _read_file(path: Path, key: str) -> dict[str, FloatArray]:
    """Read the records of one writer; a last line without an end is being written, or never was."""
    results: dict[str, FloatArray] = {}
    damaged = 0
    try:
        with open_plain(path) as stream:
            lines = stream.read().split(b"\n")[:-1]
    except DamagedFileError as error:
        _warn(str(error))
        return results
    for line in lines:
        record = _read_line(line)
        version = record.get("format", _FORMAT)
        if version > _FORMAT:
            raise ValueError(
                f"{path} has format {version}, this version of dataval reads up to {_FORMAT}: upgrade dataval"
            )
        if record.get("key") != key:
            damaged += 1
        else:
            results[record["name"]] = np.asarray(record["value"], dtype=np.float64)
    if damaged:
        _warn(f"{path} is damaged: {damaged} of its {len(lines)} records don't match their digest or folder")
    return results


def _read_line(line: bytes) -> dict[str, Any]:
    """Return the record that a line holds, an empty one where it is not what was written."""
    found = _LINE.fullmatch(line)
    if found is None or found["digest"].decode() != digest(found["rest"]):
        return {}
    record: dict[str, Any] = json.loads(line)
    return record


def _read_format_1(path: Path) -> dict[str, FloatArray]:
    """Read the one JSON object of earlier versions, which had no digests."""
    if not path.exists():
        return {}
    try:
        results = {name: _numbers(value) for name, value in read_document(path).items()}
        if len({result.shape for result in results.values()}) > 1:
            raise ValueError("its results have different shapes")
    except (ValueError, TypeError, OverflowError) as error:
        _warn(str(error) if isinstance(error, DamagedFileError) else f"{path} is damaged: {error}")
        return {}
    return results


def _numbers(value: Any) -> FloatArray:
    array = np.asarray(value)
    if array.dtype.kind not in "if":
        raise ValueError(f"it holds {value!r:.40}, not numbers")
    return array.astype(np.float64)


def _warn(problem: str) -> None:
    warnings.warn(f"{problem}; what is missing is computed again", DamagedFileWarning, stacklevel=2)
