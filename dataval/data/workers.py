"""Processes that read the samples of a batch together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from numpy.typing import NDArray

from dataval.data.randomness import Generators, known_generators, register_generators
from dataval.data.reading import Reader

__all__ = ["ReadingProcesses"]

_IDLE_SECONDS = 60  # after which processes end; they start again when they are needed
_LEAST = 8  # samples a process that are worth sending

_reader: Reader | None = None


class ReadingProcesses:
    """Reads as a `Reader` does, a batch shared out among processes that hold the data set.

    Parameters
    ----------
    reader : Reader
    n_workers : int
        At least 1.
    """

    def __init__(self, reader: Reader, n_workers: int) -> None:
        self.reader, self._n_workers = reader, n_workers
        self._executor: ProcessPoolExecutor | None = None

    def read(self, indices: NDArray[np.int64], draws: NDArray[np.int64] | None) -> list[Any]:
        """Return samples; see `Reader.read`."""
        if len(indices) < _LEAST * self._n_workers:
            return self.reader.read(indices, draws)
        parts = np.array_split(np.arange(len(indices)), self._n_workers)
        tasks = [(indices[part], None if draws is None else draws[part]) for part in parts]
        found = self._started().map(_read, *zip(*tasks, strict=True))
        return [sample for part in found for sample in part]

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._n_workers,
                timeout=_IDLE_SECONDS,
                initializer=_start,
                initargs=(self.reader, known_generators()),
            )
        return self._executor


def _start(reader: Reader, generators: Mapping[str, Generators]) -> None:
    """Make a process ready to read."""
    global _reader  # noqa: PLW0603 - a process of a pool has no other place
    for name, each in generators.items():
        register_generators(name, each)
    _reader = reader


def _read(indices: NDArray[np.int64], draws: NDArray[np.int64] | None) -> list[Any]:
    assert _reader is not None
    return _reader.read(indices, draws)
