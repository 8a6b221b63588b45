"""A DataLoader that also says which samples each batch is made of, and reads random ones under seeds of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset

from dataval.checks import described
from dataval.data.randomness import generator_states, seeded
from dataval.errors import InvalidDataError

__all__ = ["NotedBatch", "NotedCollate", "NotedSamples", "draws_randomly", "noted_batches"]

_N_PROBES = 8
_NONE = -1

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


def noted_batches(loader: DataLoader[Any], draw: Draw | None) -> Iterator[NotedBatch]:
    """Yield one epoch of a loader's batches, in its own order, with its own workers, noting the samples.

    Parameters
    ----------
    loader : DataLoader
        Of a data set whose samples have numbers.
    draw : callable, optional
        Returns so many new seeds, under which the samples are read; without it they are just read.

    Raises
    ------
    InvalidDataError
        If it isn't such a loader.
    """
    check_loader(loader)
    twin = DataLoader(
        NotedSamples(loader.dataset),
        batch_sampler=_Drawn(loader.batch_sampler, draw),
        collate_fn=NotedCollate(loader.collate_fn),
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
    )
    for keys, item in twin:
        samples, draws = keys.numpy().T
        yield NotedBatch(samples, None if draw is None else draws, item)


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

    def __call__(self, found: list[tuple[Key, Any]]) -> tuple[torch.Tensor, Any]:
        return torch.tensor([key for key, _ in found]), self.collate([sample for _, sample in found])


class _Drawn:
    """Batches of a sampler's indices, each with a seed."""

    def __init__(self, order: Any, draw: Draw | None) -> None:
        self._order, self._draw = order, draw

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self._order:
            indices = [int(index) for index in batch]
            draws = [_NONE] * len(indices) if self._draw is None else self._draw(len(indices)).tolist()
            yield list(zip(indices, draws, strict=True))
