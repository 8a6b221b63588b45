"""The plan of a run: which samples each update sees, at which learning rate, with which random seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataval.errors import InvalidDataError
from dataval.training.config import Training

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What happens at each of T updates, apart from the model.

    Attributes
    ----------
    order : ndarray of int64
        The samples of all batches, one batch after another.
    offsets : ndarray of int64, shape (T + 1,)
        Batch t is ``order[offsets[t]:offsets[t + 1]]``.
    learning_rates : ndarray of float64, shape (T,)
    seeds : ndarray of int64, shape (T,)
        Seeds of the random draws inside update t (dropout masks).
    batch_size : int
        Nominal batch size b, which the summed gradient is divided by.
    n_samples : int
    steps_per_epoch : int
    """

    order: NDArray[np.int64]
    offsets: NDArray[np.int64]
    learning_rates: NDArray[np.float64]
    seeds: NDArray[np.int64]
    batch_size: int
    n_samples: int
    steps_per_epoch: int

    @property
    def n_steps(self) -> int:
        """Number of updates, T."""
        return len(self.learning_rates)

    @property
    def has_single_samples(self) -> bool:
        """Whether some batch has one sample."""
        return bool((np.diff(self.offsets) == 1).any())

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return the indices of the samples that update `step` sees."""
        return self.order[self.offsets[step] : self.offsets[step + 1]]


def make_plan(training: Training, n_samples: int) -> Plan:
    """Draw the plan of a run from its configuration.

    Raises
    ------
    InvalidDataError
        If there are fewer samples than a batch needs.
    """
    size = training.batch_size
    if n_samples < size:
        raise InvalidDataError(
            f"batch_size={size} exceeds the {n_samples} training samples: choose a smaller batch_size"
        )
    batches = [batch for epoch in range(training.epochs) for batch in _epoch(training, n_samples, epoch)]
    n_steps, per_epoch = len(batches), len(batches) // training.epochs
    factors = training.schedule.factors(n_steps, per_epoch)
    seeds = np.random.default_rng([training.seed, 1]).integers(0, 2**62, size=n_steps)
    return Plan(
        order=np.concatenate(batches),
        offsets=np.cumsum([0, *map(len, batches)]),
        learning_rates=training.optimizer.learning_rate * factors,
        seeds=seeds,
        batch_size=size,
        n_samples=n_samples,
        steps_per_epoch=per_epoch,
    )


def _epoch(training: Training, n_samples: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    order = np.arange(n_samples)
    if training.shuffle:
        order = np.random.default_rng([training.seed, 0, epoch]).permutation(n_samples)
    for start in range(0, n_samples, training.batch_size):
        batch = order[start : start + training.batch_size]
        if len(batch) == training.batch_size or not training.drop_last:
            yield batch
