"""The global generators that reading a sample may draw from: Python's, NumPy's and the frameworks'."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.process import kept_streams

__all__ = ["Generators", "generator_states", "index_seeds", "known_generators", "register_generators", "seeded"]

_SPREAD = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: multiples of it are spread evenly over 64 bits
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Generators:
    """The global generators of a framework.

    Attributes
    ----------
    seeded : callable
        seed -> context in which they are seeded; on leaving they are as before.
    state : callable
        Returns their state, as what can be compared.
    """

    seeded: Callable[[int], AbstractContextManager[None]]
    state: Callable[[], Any]


_registered: dict[str, Generators] = {}


def register_generators(name: str, generators: Generators) -> None:
    """Have the generators of a framework seeded, too, where a sample is read.

    Parameters
    ----------
    name : str
        Of the framework; registered again, it is replaced.
    generators : Generators
        How they are seeded, and what state they are in.
    """
    _registered[name] = generators


def known_generators() -> Mapping[str, Generators]:
    """Return what was registered, by the framework's name."""
    return dict(_registered)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all global generators; on leaving they are as before."""
    with kept_streams(), ExitStack() as stack:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - what augmentation draws from
        for generators in _registered.values():
            stack.enter_context(generators.seeded(seed))
        yield


def generator_states() -> list[Any]:
    """Return the states of all global generators, which differ once a number was drawn."""
    name, keys, *position = np.random.get_state(legacy=True)  # noqa: NPY002
    numpy = name, np.asarray(keys).tobytes(), *position
    return [random.getstate(), numpy, *(generators.state() for generators in _registered.values())]


def index_seeds(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a seed for every sample that its index alone determines, ``(n,)``, from 0 to 2**63 - 1."""
    mixed = (np.asarray(indices).astype(np.uint64) + np.uint64(1)) * np.uint64(_SPREAD)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed & np.uint64(_LARGEST)).astype(np.int64)
