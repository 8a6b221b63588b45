"""A DataLoader that says which samples its batches are made of, and reads random ones under seeds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset

from dataval.backend.registry import load_backend
from dataval.checks import described
from dataval.data.randomness import generator_states, seeded
from dataval.errors import InvalidDataError

__all__ = ["NotedBatch", "NotedCollate", "NotedLoader", "Reading", "check_loader", "noted_batch"]

_N_PROBES = 8
_NONE = -1

load_backend("torch")  # so that its generators are seeded, too, in every process that reads

Draw = Callable[[int], NDArray[np.int64]]
Key = tuple[int, int]


@dataclass(frozen=True)
class NotedBatch:
    """A batch with the samples that it is made of.

    Attributes
    ----------
    samples : ndarray of int64, shape (n,)
    draws : ndarray of int64, shape (n,), or None
        Seeds under which they were read.
    item
        What the loader yields.
    """

    samples: NDArray[np.int64]
    draws: NDArray[np.int64] | None
    item: Any


class Reading:
    """How the samples of a recorded loop are read: each under a seed of its own where reading is random.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._random: dict[int, bool] = {}

    def noted(self, loader: DataLoader[Any]) -> NotedLoader:
        """Return a loader like another, with its order, workers and collating, that says what it reads.

        Raises
        ------
        InvalidDataError
            If its samples have no numbers.
        """
        order = self._drawn(loader)
        return NotedLoader(
            NotedSamples(loader.dataset),
            batch_sampler=order,
            collate_fn=NotedCollate(loader.collate_fn),
            num_workers=loader.num_workers,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
        )

    def number(self, loader: DataLoader[Any], collate: Callable[[Any], NotedCollate]) -> None:
        """Make a loader itself read by number, its batches put together by `collate` of its own collating.

        For loaders of classes that do more than load.
        """
        order = self._drawn(loader)
        loader.collate_fn = collate(loader.collate_fn)
        object.__setattr__(loader, "batch_sampler", order)  # which a loader allows before it is made alone
        object.__setattr__(loader, "dataset", NotedSamples(loader.dataset))

    def _drawn(self, loader: DataLoader[Any]) -> _Drawn:
        """Return a loader's batches of keys, or raise if its samples have no numbers."""
        check_loader(loader)
        dataset = loader.dataset
        if id(dataset) not in self._random:
            self._random[id(dataset)] = draws_randomly(dataset)
        return _Drawn(loader.batch_sampler, self._draw if self._random[id(dataset)] else None)

    def _draw(self, n: int) -> NDArray[np.int64]:
        return self._rng.integers(0, 2**62, n)


class NotedLoader(DataLoader[Any]):
    """A loader that yields what the one that it stands for yields, and keeps the numbers of the samples.

    Attributes
    ----------
    read : deque of NotedBatch
        The batches of the epoch that were yielded and not taken up yet, in order.
    """

    read: deque[NotedBatch]

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.read = deque()
        for keys, item in super().__iter__():
            self.read.append(noted_batch(keys, item))
            yield item


def noted_batch(keys: torch.Tensor, item: Any) -> NotedBatch:
    """Return a batch whose samples have the keys (number, seed)."""
    samples, draws = keys.cpu().numpy().T
    return NotedBatch(samples, None if (draws == _NONE).all() else draws, item)


def check_loader(loader: Any) -> None:
    """Raise `InvalidDataError` unless this is a loader whose samples have numbers."""
    if not isinstance(loader, DataLoader):
        raise InvalidDataError(
            f"recorder.batches takes a torch DataLoader, got {described(loader)}: in a loop of your own over "
            "indices, say which samples the next forward pass is of by recorder.samples(indices, targets)"
        )
    if isinstance(loader.dataset, IterableDataset):
        raise InvalidDataError(
            "the loader's data set is an IterableDataset, whose samples have no numbers: use a map-style one"
        )
    if loader.batch_sampler is None:
        raise InvalidDataError(
            "the loader has batch_size=None, so that its data set makes the batches: their samples have no "
            "numbers of their own. Let the loader make them"
        )


def draws_randomly(dataset: Any) -> bool:
    """Whether reading some samples draws random numbers, from whichever global generator."""
    n = len(dataset)
    with seeded(0):
        before = generator_states()
        for index in np.unique(np.linspace(0, n - 1, min(n, _N_PROBES)).astype(int)):
            dataset[int(index)]
        return generator_states() != before


class NotedSamples(Dataset[Any]):
    """A data set that is asked for (number, seed) and says so with each sample.

    Parameters
    ----------
    dataset
        A map-style data set.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> tuple[Key, Any]:
        index, draw = key
        if draw == _NONE:
            return key, self.dataset[index]
        with seeded(draw):
            return key, self.dataset[index]

    def __getitems__(self, keys: Sequence[Key]) -> list[tuple[Key, Any]]:
        """Return several at once where the data set can, as PyTorch's loaders ask for."""
        fetch = getattr(self.dataset, "__getitems__", None)
        if fetch is None or any(draw != _NONE for _, draw in keys):
            return [self[key] for key in keys]
        return list(zip(keys, fetch([index for index, _ in keys]), strict=True))


class NotedCollate:
    """A loader's way to put samples together, which passes their numbers on.

    Parameters
    ----------
    collate : callable
    """

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, found: list[tuple[Key, Any]]) -> Any:
        """Return the keys ``(n, 2)`` and what the loader makes of the samples."""
        return torch.tensor([key for key, _ in found]), self.collate([sample for _, sample in found])


class _Drawn:
    """Batches of a sampler's indices, each with a seed."""

    def __init__(self, order: Any, draw: Draw | None) -> None:
        self._order, self._draw = order, draw

    def __len__(self) -> int:
        return len(self._order)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._order, name)

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self._order:
            indices = [int(index) for index in batch]
            draws = [_NONE] * len(indices) if self._draw is None else self._draw(len(indices)).tolist()
            yield list(zip(indices, draws, strict=True))
