"""What training and validation data are to everything above: samples that can be taken.

They are arrays, or some of what isn't in memory, or read when they are needed (`streams`).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data.contents import checksum, read_contents
from dataval.data.maps import is_mapped, release, take_rows
from dataval.data.structure import first_leaf, leaves, map_leaves

__all__ = ["Data", "Form", "Indices", "Inputs", "Samples", "Selection"]

Indices = NDArray[np.int64] | slice
Inputs = Any  # an array, or nested tuples and dicts of arrays

_PART = 256  # samples that are read at a time
_PART_BYTES = 2**26


@dataclass(frozen=True)
class Form:
    """What every sample's part of an array looks like.

    Attributes
    ----------
    shape : tuple of int
        Of one sample.
    dtype : dtype
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Samples(ABC):
    """So many samples, each of inputs and a target, in an order that stays."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def take(self, indices: Indices, draws: NDArray[np.int64] | None = None) -> Data:
        """Return samples as arrays in memory.

        Parameters
        ----------
        indices : ndarray of int64, shape (n,), or slice
            Which ones.
        draws : ndarray of int64, shape (n,), optional
            The seed under which each sample is read, where reading draws random numbers (augmentation); from
            its index by default, so that a sample that is read twice is the same.
        """

    @abstractmethod
    def select(self, indices: NDArray[np.int64]) -> Samples:
        """Return some of the samples, without reading what isn't in memory."""

    @abstractmethod
    def target_parts(self) -> Iterator[tuple[int, Any]]:
        """Yield the targets in order, some at a time, each with the number of its first sample."""

    @abstractmethod
    def form(self) -> dict[str, Form]:
        """Return what every array is made of, by names such as ``X``, ``X['key']``, ``y``."""

    def as_arguments(self) -> tuple[Any, Any]:
        """Return these as the X and y of another call."""
        return self, None

    @property
    @abstractmethod
    def memory_bytes(self) -> int | None:
        """Size of the arrays, where all are in memory; None otherwise."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that tells these samples from others."""

    @abstractmethod
    def checksum(self) -> int:
        """Return a number that changes where a value does; cheaper than `fingerprint`, and for one process."""

    @abstractmethod
    def is_same_source(self, other: Samples) -> bool:
        """Whether these come from the very same arrays or data set, read in the same way."""


@dataclass(frozen=True)
class Data(Samples):
    """Inputs and targets as NumPy arrays (views of the caller's memory where that is possible).

    Attributes
    ----------
    inputs : ndarray, or nested tuples and dicts of ndarray
        Every array has the samples along its first axis.
    targets : ndarray, or nested tuples and dicts of ndarray
    """

    inputs: Inputs
    targets: Any

    def __len__(self) -> int:
        return len(first_leaf(self.targets))

    def take(self, indices: Indices, draws: NDArray[np.int64] | None = None) -> Data:
        """Return the samples at `indices`; `draws` play no part, as arrays are what they are."""
        return Data(_taken(self.inputs, indices), _taken(self.targets, indices))

    def select(self, indices: NDArray[np.int64]) -> Samples:
        """Return some of the samples: copies, or for a map a note of which."""
        return self.take(indices) if self.memory_bytes is not None else Selection(self, indices)

    def target_parts(self) -> Iterator[tuple[int, Any]]:
        """Yield the targets: all at once, or those of a map some at a time."""
        if not any(is_mapped(leaf) for _, leaf in leaves(self.targets)):
            yield 0, self.targets
            return
        rows = max(1, _PART_BYTES // sum(leaf[:1].nbytes for _, leaf in leaves(self.targets)))
        for start in range(0, len(self), rows):
            yield start, _taken(self.targets, slice(start, start + rows))
            map_leaves(release, self.targets)

    def leaves(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield every array with its name: ``X``, ``X[0]`` or ``X['key']``, then ``y``, or ``y['key']``."""
        yield from leaves(self.inputs, "X")
        yield from leaves(self.targets, "y")

    def form(self) -> dict[str, Form]:
        """Return what every array is made of."""
        return {name: Form(leaf.shape[1:], leaf.dtype) for name, leaf in self.leaves()}

    def as_arguments(self) -> tuple[Any, Any]:
        """Return inputs and targets."""
        return self.inputs, self.targets

    @property
    def memory_bytes(self) -> int | None:
        """Size of the arrays; None where one is a map."""
        if any(is_mapped(leaf) for _, leaf in self.leaves()):
            return None
        return sum(leaf.nbytes for _, leaf in self.leaves())

    def fingerprint(self) -> str:
        """Return a hash of every shape, dtype and value."""
        return read_contents(self.leaves()).fingerprint

    def checksum(self) -> int:
        """Return a number that changes where a value does; cheaper than `fingerprint`, and for one process."""
        return checksum(self.leaves())

    def is_same_source(self, other: Samples) -> bool:
        """Whether all arrays are the very same stretches of memory, read in the same way."""
        return isinstance(other, Data) and _layout(self) == _layout(other)


class Selection(Samples):
    """Some of the samples of what isn't in memory.

    Parameters
    ----------
    base : Samples
    indices : ndarray of int64
        Which of them, in order.
    """

    def __init__(self, base: Samples, indices: NDArray[np.int64]) -> None:
        self._base, self._indices = base, np.asarray(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def take(self, indices: Indices, draws: NDArray[np.int64] | None = None) -> Data:
        """Return samples as arrays; see `Samples.take`."""
        return self._base.take(self._indices[indices], draws)

    def select(self, indices: NDArray[np.int64]) -> Samples:
        """Return some of these."""
        return Selection(self._base, self._indices[indices])

    def target_parts(self) -> Iterator[tuple[int, Any]]:
        """Yield targets in order, some at a time."""
        for start in range(0, len(self), _PART):
            yield start, self.take(slice(start, start + _PART)).targets

    def form(self) -> dict[str, Form]:
        """Return what every array is made of."""
        return self._base.form()

    @property
    def memory_bytes(self) -> int | None:
        """None: these are read when they are needed."""
        return None

    def fingerprint(self) -> str:
        """Return a hash of where these come from, and of which they are."""
        text = f"{self._base.fingerprint()}{self._indices.tolist()}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def checksum(self) -> int:
        """Return the checksum of all that these are chosen from."""
        return self._base.checksum()

    def is_same_source(self, other: Samples) -> bool:
        """Whether both are the same choice of the same samples."""
        return (
            isinstance(other, Selection)
            and np.array_equal(self._indices, other._indices)
            and self._base.is_same_source(other._base)
        )


def _taken(structure: Any, indices: Indices) -> Any:
    return map_leaves(lambda leaf: take_rows(leaf, indices), structure)


def _layout(data: Data) -> list[Any]:
    found = [(name, leaf.__array_interface__, leaf.strides) for name, leaf in data.leaves()]
    return [
        (name, array["data"][0], array["shape"], array["typestr"], strides) for name, array, strides in found
    ]
