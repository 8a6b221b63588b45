"""Samples that are read when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dataval.data.arrays import as_array
from dataval.data.collation import plain, stack
from dataval.data.contents import first_not_finite
from dataval.data.parts import split
from dataval.data.randomness import generator_states, seeded
from dataval.data.reading import Reader
from dataval.data.samples import Data, Form, Indices, Samples, Selection
from dataval.data.structure import leaves, map_named
from dataval.data.workers import ReadingProcesses
from dataval.errors import InvalidDataError

__all__ = ["StreamedData"]

Collate = Callable[[Sequence[Any]], Any]

_PART = 256  # samples that are read at a time where all are gone through
_N_PROBED = 4
_N_HASHED = 32
_TARGET_BYTES = 2**26  # of targets that are kept, once all were read


class StreamedData(Samples):
    """A data set with random access, from which a batch at a time is read.

    Samples are checked as they are read: that they are numbers, finite, and of one shape and dtype. Where
    reading draws random numbers (augmentation), each sample is read under a seed of its own, so that the same
    seed gives the same sample.

    Parameters
    ----------
    dataset
        Has ``__len__`` and ``__getitem__``; a sample is a pair (inputs, target) or a dict.
    key : str, optional
        Of the target where samples are dicts.
    what : str
        What messages call the data.
    collate : callable, optional
        Puts a list of samples together; by default they are stacked.
    n_workers : int, default 0
        Processes that read.

    Raises
    ------
    InvalidDataError
        If there are no samples, the first few can't be used, or they differ when they are read again under the
        same seed.
    """

    def __init__(
        self, dataset: Any, key: str | None, what: str, *, collate: Collate | None = None, n_workers: int = 0
    ) -> None:
        self._dataset, self._key, self._what, self._collate = dataset, key, what, collate
        self._n = len(dataset)
        if self._n == 0:
            raise InvalidDataError(f"the {what} set is empty")
        reader = Reader(dataset, what)
        self._reader: Reader | ReadingProcesses = (
            reader if n_workers == 0 else ReadingProcesses(reader, n_workers)
        )
        self._targets: list[tuple[int, Any]] = []
        self._form: dict[str, Form] = {}
        self._form = self.take(np.array([0])).form()
        self._probe()

    def __getstate__(self) -> dict[str, Any]:
        """Travel to another process, which is one of several already, without processes that read."""
        reader = self._reader.reader if isinstance(self._reader, ReadingProcesses) else self._reader
        return self.__dict__ | {"_reader": reader}

    def __len__(self) -> int:
        return self._n

    def take(self, indices: Indices, draws: NDArray[np.int64] | None = None) -> Data:
        """Read samples.

        Raises
        ------
        InvalidDataError
            If one can't be read, isn't finite, or differs from the first in shape or dtype; it is named.
        """
        at = np.arange(self._n)[indices]
        inputs, targets = split(self._together(self._reader.read(at, draws), at), self._key, self._what)
        data = Data(
            map_named(lambda name, leaf: self._checked(name, leaf, at), plain(inputs)),
            map_named(lambda name, leaf: self._checked(name, leaf, at), plain(targets), "y"),
        )
        if self._form and set(data.form()) != set(self._form):
            raise InvalidDataError(
                f"the {self._what} samples {at[:3].tolist()}... are made of {list(data.form())}, sample 0 of "
                f"{list(self._form)}: all samples must be alike"
            )
        return data

    def select(self, indices: NDArray[np.int64]) -> Samples:
        """Return some of the samples; nothing is read."""
        return Selection(self, indices)

    def target_parts(self) -> Iterator[tuple[int, Any]]:
        """Yield the targets in order; every sample is read for that once, small targets are kept."""
        if self._targets:
            yield from self._targets
            return
        kept: list[tuple[int, Any]] = []
        size = 0
        for start in range(0, self._n, _PART):
            targets = self.take(slice(start, start + _PART)).targets
            size += sum(leaf.nbytes for _, leaf in leaves(targets))
            kept = [*kept, (start, targets)] if size <= _TARGET_BYTES else []
            yield start, targets
        self._targets = kept if size <= _TARGET_BYTES else []

    def form(self) -> dict[str, Form]:
        """Return what every array is made of, as the first sample has it."""
        return self._form

    @property
    def memory_bytes(self) -> int | None:
        """None: samples are read when they are needed."""
        return None

    def fingerprint(self) -> str:
        """Return a hash of the number of samples, their form, and some dozens of them, evenly spaced."""
        digest = hashlib.blake2b(f"samples {self._n}".encode(), digest_size=16)
        for index in np.unique(np.linspace(0, self._n - 1, min(self._n, _N_HASHED)).astype(np.int64)):
            for name, leaf in self.take(np.array([index])).leaves():
                digest.update(f"{index}{name}{leaf.shape}{leaf.dtype.str}".encode())
                digest.update(np.ascontiguousarray(leaf).data)
        return digest.hexdigest()

    def checksum(self) -> int:
        """Return a number that changes where one of the samples of the fingerprint does."""
        return crc32(self.fingerprint().encode())

    def is_same_source(self, other: Samples) -> bool:
        """Whether both read the very same data set in the same way."""
        return (
            isinstance(other, StreamedData)
            and self._dataset is other._dataset
            and (self._key, self._collate) == (other._key, other._collate)
        )

    def _together(self, samples: list[Any], at: NDArray[np.int64]) -> Any:
        """Return a batch of samples as arrays."""
        if self._collate is None:
            return stack(samples, at, self._what)
        with seeded(0):
            before = generator_states()
            found = plain(self._collate(samples))
            if generator_states() != before:
                raise InvalidDataError(
                    "the collate_fn draws random numbers, so that a sample would depend on its batch: draw "
                    "them in the data set's __getitem__, where each sample has a seed of its own"
                )
        return found

    def _checked(self, name: str, leaf: Any, at: NDArray[np.int64]) -> NDArray[Any]:
        """Return one array of a batch, checked."""
        array = as_array(leaf, name, self._what)
        if len(array) != len(at):
            raise InvalidDataError(
                f"the {self._what} {name} holds {len(array)} samples after the collate_fn of {len(at)}: it "
                "must put as many together as it is given, along the first axis"
            )
        bad = first_not_finite(array)
        if bad is not None:
            raise InvalidDataError(
                f"the {self._what} {name} contains NaN or infinity, first at sample {at[bad]}: "
                "impute or drop such samples"
            )
        known = self._form.get(name)
        return array if known is None else self._as_first(array, known, name, at)

    def _as_first(self, array: NDArray[Any], known: Form, name: str, at: NDArray[np.int64]) -> NDArray[Any]:
        """Return an array in the dtype of the first sample's."""
        which = f"sample {at[0]}" if len(at) == 1 else f"samples {at[0]} ... {at[-1]}"
        is_same_shape = (
            array.shape[1:] == known.shape if self._collate is None else array.ndim - 1 == len(known.shape)
        )
        if not is_same_shape:
            raise InvalidDataError(
                f"the {self._what} {name} of {which} has shape {array.shape[1:]}, of sample 0 {known.shape}: "
                "make them equal (resize, pad or crop)"
            )
        if not np.can_cast(array.dtype, known.dtype, "same_kind"):
            raise InvalidDataError(
                f"the {self._what} {name} of {which} is {array.dtype}, of sample 0 {known.dtype}: give all "
                "samples one dtype"
            )
        return array.astype(known.dtype, copy=False)

    def _probe(self) -> None:
        """Raise if a few samples are others when they are read again under the same seed."""
        few = np.unique(np.linspace(0, self._n - 1, min(self._n, _N_PROBED)).astype(np.int64))
        for index in few:
            first, again = (dict(self.take(np.array([index])).leaves()) for _ in range(2))
            if any(not np.array_equal(first[name], again[name]) for name in first):
                raise InvalidDataError(
                    f"the {self._what} sample {index} is another one when it is read again: the data set draws "
                    "random numbers that no seed controls. Draw from the global generators (random, "
                    "numpy.random, the framework's), or from none"
                )
