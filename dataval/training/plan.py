"""The plan of a run: which samples each update sees, at which coefficients, under which hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dataval.errors import InvalidDataError
from dataval.training.config import Training
from dataval.training.hyperparameters import Hyperparameters, constant_hyperparameters
from dataval.training.optimizers import Optimizer

__all__ = ["Plan", "check_batch_size", "make_plan"]


@dataclass(frozen=True)
class Plan:
    r"""What happens at each of T updates, apart from the model.

    An update follows the gradient of :math:`\sum_j c_j w_j \ell_j`, summed over the samples of one or several
    forward passes, which are made one after another at the same parameters (gradient accumulation).

    Attributes
    ----------
    order : ndarray of int64, shape (V,)
        The samples of all passes, one pass after another.
    offsets : ndarray of int64, shape (M + 1,)
        Pass m is of the samples ``order[offsets[m]:offsets[m + 1]]``.
    coefficients : ndarray of float64, shape (V,)
        What the loss of each of them is multiplied by: one over the batch size, say, or over the number of
        tokens.
    seeds : ndarray of int64, shape (M,)
        Seeds of the random draws inside each pass (dropout masks).
    steps : ndarray of int64, shape (T + 1,)
        Update t is made of the passes from ``steps[t]`` to ``steps[t + 1] - 1``.
    epochs : ndarray of int64, shape (T,)
        The epoch of each update.
    hyperparameters : Hyperparameters
    batch_size : int
        Nominal number of samples of an update.
    n_samples : int
    draws : ndarray of int64, shape (V,), optional
        The seed under which each of the samples was read where reading it is random (augmentation).
    digests : ndarray of int64, shape (M,), optional
        What tells the batch of each pass from others (`digest_of`), where a loop was recorded; 0 where unknown.
    """

    order: NDArray[np.int64]
    offsets: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    seeds: NDArray[np.int64]
    steps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    hyperparameters: Hyperparameters
    batch_size: int
    n_samples: int
    draws: NDArray[np.int64] | None = None
    digests: NDArray[np.int64] | None = None

    @property
    def n_steps(self) -> int:
        """Number of updates, T."""
        return len(self.epochs)

    @property
    def n_passes(self) -> int:
        """Number of forward passes, M."""
        return len(self.seeds)

    @property
    def n_epochs(self) -> int:
        """Number of epochs that were begun."""
        return int(self.epochs[-1]) + 1

    @property
    def epoch_ends(self) -> NDArray[np.int64]:
        """The number of updates done by the end of each epoch, shape (number of epochs,)."""
        return np.searchsorted(self.epochs, np.arange(self.n_epochs), side="right").astype(np.int64)

    @property
    def learning_rates(self) -> NDArray[np.float64]:
        """The learning rate of every update ``(T,)``; the largest where groups of parameters differ."""
        return np.asarray(self.hyperparameters.learning_rates.max(axis=1))

    @property
    def has_single_samples(self) -> bool:
        """Whether some pass has one sample."""
        return bool((np.diff(self.offsets) == 1).any())

    @property
    def is_accumulated(self) -> bool:
        """Whether some update has several passes."""
        return self.n_passes > self.n_steps

    @property
    def is_recorded(self) -> bool:
        """Whether it is what somebody else's loop did, rather than what a configuration gives."""
        return self.digests is not None

    def passes(self, step: int) -> range:
        """Return the numbers of the passes of update `step`."""
        return range(int(self.steps[step]), int(self.steps[step + 1]))

    def samples(self, number: int) -> NDArray[np.int64]:
        """Return the indices of the samples of pass `number`."""
        return self.order[self._pass(number)]

    def pass_coefficients(self, number: int) -> NDArray[np.float64]:
        """Return the coefficients of the samples of pass `number`."""
        return self.coefficients[self._pass(number)]

    def pass_draws(self, number: int) -> NDArray[np.int64] | None:
        """Return the seeds that the samples of pass `number` were read under, where there are any."""
        return None if self.draws is None else self.draws[self._pass(number)]

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return the indices of the samples that update `step` sees, in all of its passes."""
        return self.order[self._update(step)]

    def batch_coefficients(self, step: int) -> NDArray[np.float64]:
        """Return the coefficients of the samples that update `step` sees."""
        return self.coefficients[self._update(step)]

    def until(self, n_steps: int) -> Plan:
        """Return the plan of the first updates alone."""
        n_passes = int(self.steps[n_steps])
        n_visits = int(self.offsets[n_passes])
        return replace(
            self,
            order=self.order[:n_visits],
            offsets=self.offsets[: n_passes + 1],
            coefficients=self.coefficients[:n_visits],
            seeds=self.seeds[:n_passes],
            steps=self.steps[: n_steps + 1],
            epochs=self.epochs[:n_steps],
            hyperparameters=self.hyperparameters.until(n_steps),
            draws=None if self.draws is None else self.draws[:n_visits],
            digests=None if self.digests is None else self.digests[:n_passes],
        )

    def _pass(self, number: int) -> slice:
        return slice(int(self.offsets[number]), int(self.offsets[number + 1]))

    def _update(self, step: int) -> slice:
        return slice(int(self.offsets[self.steps[step]]), int(self.offsets[self.steps[step + 1]]))


def make_plan(training: Training, n_samples: int, names: Sequence[str] = ()) -> Plan:
    """Draw the plan of a run from its configuration.

    Parameters
    ----------
    training : Training
        The configuration.
    n_samples : int
        N.
    names : sequence of str
        Of the model's parameters; needed where the optimizer has groups.

    Raises
    ------
    InvalidDataError
        If there are fewer samples than a batch needs.
    ValueError
        If the schedule or the groups don't fit.
    """
    check_batch_size(training, n_samples)
    size = training.batch_size
    batches = [batch for epoch in range(training.epochs) for batch in _epoch(training, n_samples, epoch)]
    n_steps, per_epoch = len(batches), len(batches) // training.epochs
    return Plan(
        order=np.concatenate(batches),
        offsets=np.cumsum([0, *map(len, batches)]),
        coefficients=np.full(sum(map(len, batches)), 1 / size),
        seeds=np.random.default_rng([training.seed, 1]).integers(0, 2**62, size=n_steps),
        steps=np.arange(n_steps + 1),
        epochs=np.arange(n_steps) // per_epoch,
        hyperparameters=_hyperparameters(training, n_steps, per_epoch, names),
        batch_size=size,
        n_samples=n_samples,
    )


def check_batch_size(training: Training, n_samples: int) -> None:
    """Raise `InvalidDataError` if there are fewer samples than a batch needs."""
    size = training.batch_size
    if n_samples < size:
        raise InvalidDataError(
            f"batch_size={size} exceeds the {n_samples} training samples: choose a smaller batch_size"
        )


def _hyperparameters(training: Training, n_steps: int, per_epoch: int, names: Sequence[str]) -> Hyperparameters:
    schedule, optimizer = training.schedule, training.optimizer
    factors = schedule.factors(n_steps, per_epoch)
    momenta = schedule.momenta(n_steps, per_epoch)
    changes = {} if momenta is None else {_moved(optimizer): momenta}
    return constant_hyperparameters(optimizer, factors, changes, names)


def _moved(optimizer: Optimizer) -> str:
    """Return which hyperparameter a schedule of the momentum sets, or raise if there is none to move."""
    name, kind = optimizer.momentum_name, type(optimizer).__name__
    if name is None or (name == "momentum" and not optimizer.has_momentum):
        raise ValueError(
            f"the schedule moves the momentum, and this {kind} has none that can be moved: "
            "give it one, or leave it alone by OneCycleSchedule(momentum=None)"
        )
    return name


def _epoch(training: Training, n_samples: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    order = np.arange(n_samples)
    if training.shuffle:
        order = np.random.default_rng([training.seed, 0, epoch]).permutation(n_samples)
    for start in range(0, n_samples, training.batch_size):
        batch = order[start : start + training.batch_size]
        if len(batch) == training.batch_size or not training.drop_last:
            yield batch
