"""Reading samples of a data set by their indices, each under its own seed where reading is random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.data.randomness import generator_states, index_seeds, seeded
from dataval.errors import InvalidDataError

__all__ = ["Reader"]


class Reader:
    """Reads samples one by one, or several at once where the data set has a way (``__getitems__``).

    A data set counts as deterministic until reading moves a global generator; from then on every sample is read
    under its own seed. Either way the generators are afterwards as they were.

    Parameters
    ----------
    dataset
        Has ``__len__`` and ``__getitem__``.
    what : str
        What messages call the data.
    """

    def __init__(self, dataset: Any, what: str) -> None:
        self.dataset, self._what = dataset, what
        self.is_random = False

    def read(self, indices: NDArray[np.int64], draws: NDArray[np.int64] | None) -> list[Any]:
        """Return samples as the data set gives them.

        Raises
        ------
        InvalidDataError
            If reading one fails, naming it.
        """
        if not self.is_random:
            samples = self._read_unseeded(indices)
            if not self.is_random:
                return samples
        return self._read_seeded(indices, index_seeds(indices) if draws is None else draws)

    def _read_unseeded(self, indices: NDArray[np.int64]) -> list[Any]:
        """Read samples, and note whether that drew random numbers."""
        with seeded(0):
            before = generator_states()
            samples = self._several(indices.tolist())
            self.is_random = generator_states() != before
        return samples

    def _read_seeded(self, indices: NDArray[np.int64], seeds: NDArray[np.int64]) -> list[Any]:
        samples = []
        for index, seed in zip(indices.tolist(), seeds.tolist(), strict=True):
            with seeded(seed):
                samples.append(self._one(index))
        return samples

    def _several(self, indices: Sequence[int]) -> list[Any]:
        fetch = getattr(self.dataset, "__getitems__", None)
        if fetch is None:
            return [self._one(index) for index in indices]
        try:
            return list(fetch(list(indices)))
        except Exception:  # noqa: BLE001 - read again one by one, which names the sample that fails
            return [self._one(index) for index in indices]

    def _one(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            raise InvalidDataError(
                f"the {self._what} sample {index} can't be read: {type(error).__name__}: "
                f"{' '.join(str(error).split())}"
            ) from error
