"""What all parts of some work need, pickled once and kept by each worker that gets it."""

from __future__ import annotations

import hashlib
import io
import os
from multiprocessing import parent_process
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from dataval.data.maps import map_place, open_place

__all__ = ["Shared"]

_received: dict[str, Any] = {}
"""What this worker got last: one thing, so that a worker's memory doesn't fill up."""


class Shared:
    """A value that goes to many workers.

    It is pickled when it is first sent, as an array of bytes: joblib's processes map a large one into their
    memory, Dask keeps it at its workers, and a worker that gets it again opens it once. Arrays that lie in a
    file are sent as its name, so that they have to be there at each worker.

    Parameters
    ----------
    value
        Functions and classes that a worker can't import are sent by value.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._bytes: NDArray[np.uint8] | None = None
        self._name = ""

    def value(self) -> Any:
        """Return the value."""
        return self._value

    def __sizeof__(self) -> int:
        """Return what it takes to send it: Dask keeps at the workers what is large."""
        return len(self._packed())

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again at a worker."""
        return _Received, (self._packed(), self._name)

    def _packed(self) -> NDArray[np.uint8]:
        if self._bytes is None:
            stream = io.BytesIO()
            _Pickler(stream, protocol=5).dump(self._value)
            self._bytes = np.frombuffer(stream.getbuffer(), dtype=np.uint8)
            self._name = hashlib.blake2b(self._bytes.data, digest_size=16).hexdigest()
        return self._bytes


class _Received:
    """What came of a `Shared` at a worker: opened when it is first needed."""

    def __init__(self, packed: NDArray[np.uint8], name: str) -> None:
        self._packed, self._name = packed, name

    def value(self) -> Any:
        """Return the value.

        Raises
        ------
        FileNotFoundError
            If an array lies in a file that is not there.
        """
        if self._name not in _received:
            _share_threads()
            value = cloudpickle.loads(self._packed)
            _received.clear()
            _received[self._name] = value
        return _received[self._name]


class _Pickler(cloudpickle.Pickler):
    """Pickles arrays that lie in a file as its name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray) and (place := map_place(obj)) is not None:
            return open_place, place
        return super().reducer_override(obj)


def _share_threads() -> None:
    """Give TensorFlow as many threads as a worker's other libraries have; it only asks when it starts."""
    if parent_process() is not None and (threads := os.environ.get("OMP_NUM_THREADS")):
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", threads)
