"""What is noted of a loop that somebody else runs, pass by pass and update by update, until it is a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Signature
from dataval.data import to_numpy
from dataval.errors import InvalidDataError, TrainingDivergedError
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.evidence import Evidence, projections_of
from dataval.training.faults import name_samples
from dataval.training.hyperparameters import Hyperparameters
from dataval.training.optimizers import Optimizer
from dataval.training.plan import Plan
from dataval.training.program import State
from dataval.training.run import TrainingRun

__all__ = ["NotedPass", "Setting", "Tape"]


@dataclass(frozen=True)
class NotedPass:
    """One forward pass whose gradient is part of an update.

    Attributes
    ----------
    samples : ndarray of int64, shape (n,)
    coefficients : ndarray of float64, shape (n,)
        What each sample's loss is multiplied by in what the loop minimises.
    losses : ndarray of float64, shape (n,)
    seed : int
        Of its random draws.
    digest : int
        Of what the model saw, see `digest_of`.
    draws : ndarray of int64, shape (n,), optional
        Seeds under which the samples were read.
    """

    samples: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    losses: NDArray[np.float64]
    seed: int
    digest: int
    draws: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Setting:
    """What the optimizer was told at one update.

    Attributes
    ----------
    values : tuple of dict of str to float
        The hyperparameters of each of the optimizer's groups.
    groups : tuple of int
        The group of each of the model's parameter arrays.
    active : tuple of bool
        Whether each was updated.
    """

    values: tuple[Mapping[str, float], ...]
    groups: tuple[int, ...]
    active: tuple[bool, ...]


class Tape:
    """Collects a run whose length isn't known in advance.

    Parameters
    ----------
    signature : Signature
        Of the model's parameters and buffers.
    optimizer : Optimizer
        Its kind and what never changes; its numbers are those of the first update.
    start : State
        Before the first update.
    counts : sequence of int
        How many updates the optimizer had done on each parameter array before.
    policy : Checkpoints
        How many states are kept: where the budget is full, every second of those is dropped.
    """

    def __init__(
        self,
        signature: Signature,
        optimizer: Optimizer,
        start: State,
        counts: Sequence[int],
        policy: Checkpoints,
    ) -> None:
        self._signature, self._optimizer, self._counts, self._policy = signature, optimizer, counts, policy
        self._passes: list[NotedPass] = []
        self._ends, self._epochs = [0], list[int]()
        self._settings: list[Setting] = []
        self._projections = [projections_of(to_numpy(start.parameters))]
        self._deviations: list[float] = []
        self._states = {0: start}
        self._interval = policy.every or 1
        self._marks: dict[str, int] = {}
        self.notes: list[str] = []
        """What stands in the way of doing the loop again, in words."""
        self.end: str | None = None
        """Why nothing more is noted, in words: an update was not finite."""

    @property
    def n_updates(self) -> int:
        """How many updates were noted."""
        return len(self._epochs)

    def add_update(self, passes: Sequence[NotedPass], setting: Setting, epoch: int, state: State) -> bool:
        """Note an update with the state after it; return whether it is finite: one that isn't is the end."""
        projections = projections_of(to_numpy(state.parameters))
        if self.end is None:
            self.end = _not_finite(passes, projections, self.n_updates)
        if self.end is not None:
            return False
        self._passes += passes
        self._ends.append(len(self._passes))
        self._epochs.append(epoch)
        self._settings.append(self._settings[-1] if [setting] == self._settings[-1:] else setting)
        self._deviations.append(np.nan)
        self._projections.append(projections)
        self._keep(state)
        return True

    def prove(self, deviation: float) -> None:
        """Note by how much the last update, done again, missed what it gave; rounding at most."""
        self._deviations[-1] = deviation

    def mark(self, name: str, step: int | None = None) -> None:
        """Give the present moment a name, or that after so many updates, whose state is kept."""
        self._marks[name] = self.n_updates if step is None else step

    def step_of(self, parameters: NDArray[Any]) -> int | None:
        """Return the number of updates after which the parameters were these, if that state is kept."""
        for step, state in sorted(self._states.items(), reverse=True):
            if np.array_equal(to_numpy(state.parameters), parameters):
                return step
        return None

    def note(self, problem: str) -> bool:
        """Note what stands in the way of doing the loop again; return whether it is new, and before the end."""
        is_new = self.end is None and problem not in self.notes
        if is_new:
            self.notes.append(problem)
        return is_new

    def finish(
        self, n_samples: int, *, backend: str, loss: str, environment: dict[str, str], clip_norm: float | None
    ) -> TrainingRun:
        """Return the run.

        Raises
        ------
        InvalidDataError
            If nothing was recorded.
        TrainingDivergedError
            If the first update was not finite.
        """
        if not self.n_updates and self.end is not None:
            raise TrainingDivergedError(self.end)
        if not self.n_updates:
            raise InvalidDataError(
                "no update was recorded: take the batches from recorder.batches(loader), and call the "
                "model and the optimizer that the recorder was given"
            )
        plan = self._plan(n_samples)
        training = Training(
            optimizer=self._optimizer,  # type: ignore[arg-type]  # known or not, it is taken as it is
            epochs=plan.n_epochs,
            batch_size=min(plan.batch_size, n_samples),
            clip_norm=clip_norm,
        )
        return TrainingRun(
            training=training,
            plan=plan,
            weights=np.ones(n_samples),
            losses=self._losses(plan),
            checkpoints=dict(sorted(self._states.items())),
            policy=self._policy,
            n_completed=self.n_updates,
            backend=backend,
            loss=loss,
            signature=self._signature,
            environment=environment,
            data_fingerprint="",
            origin="recorded",
            marks=dict(self._marks),
            evidence=self._evidence(),
        )

    def _keep(self, state: State) -> None:
        """Keep a state, and of the others those that the policy has room for."""
        kept, latest = self._states, self.n_updates
        if (latest - 1) % self._interval and latest - 1 not in self._marks.values():
            kept.pop(latest - 1, None)
        kept[latest] = state
        if self._policy.every is None and len(kept) > self._most:
            self._interval *= 2
            spared = {0, latest, *self._marks.values()}
            for step in [step for step in kept if step % self._interval and step not in spared]:
                del kept[step]

    @property
    def _most(self) -> int:
        size = (1 + self._optimizer.n_slots) * self._signature.n_parameters + self._signature.n_buffers
        size *= np.dtype(self._signature.dtype).itemsize
        return max(4, self._policy.max_bytes // max(1, size))

    def _plan(self, n_samples: int) -> Plan:
        passes, sizes = self._passes, [len(each.samples) for each in self._passes]
        draws = [each.draws for each in passes]
        offsets = np.cumsum([0, *sizes])
        steps = np.array(self._ends, dtype=np.int64)
        return Plan(
            order=np.concatenate([each.samples for each in passes]),
            offsets=offsets,
            coefficients=np.concatenate([each.coefficients for each in passes]),
            seeds=np.array([each.seed for each in passes], dtype=np.int64),
            steps=steps,
            epochs=np.array(self._epochs, dtype=np.int64) - self._epochs[0],
            hyperparameters=self._hyperparameters(),
            batch_size=int(np.diff(offsets[steps]).max()),
            n_samples=n_samples,
            digests=np.array([each.digest for each in passes], dtype=np.int64),
            draws=None if draws[0] is None else np.concatenate(draws),  # type: ignore[arg-type]
        )

    def _hyperparameters(self) -> Hyperparameters:
        """Join arrays that were always treated alike to groups."""
        active = np.array([setting.active for setting in self._settings])
        starts = np.array(self._counts, dtype=np.int64)
        of_arrays = np.array([setting.groups for setting in self._settings])
        keys = [
            (of_arrays[:, i].tobytes(), active[:, i].tobytes(), int(start)) for i, start in enumerate(starts)
        ]
        distinct = list(dict.fromkeys(keys))
        groups = np.array([distinct.index(key) for key in keys], dtype=np.int64)
        first = [keys.index(key) for key in distinct]
        done = np.cumsum(active, axis=0) - active + starts
        names = self._optimizer.hyperparameters
        values = {
            name: np.array(
                [[setting.values[setting.groups[i]][name] for i in first] for setting in self._settings]
            )
            for name in names
        }
        is_one = len(distinct) == 1
        return Hyperparameters(
            values, done[:, first], active[:, first], np.zeros(0, dtype=np.int64) if is_one else groups
        )

    def _losses(self, plan: Plan) -> NDArray[np.float64]:
        losses = np.full((plan.n_epochs, plan.n_samples), np.nan)
        epochs = np.repeat(plan.epochs, np.diff(plan.steps))
        for epoch, each in zip(epochs, self._passes, strict=True):
            losses[epoch, each.samples] = each.losses
        return losses

    def _evidence(self) -> Evidence:
        return Evidence(
            np.array(self._projections),
            np.array(self._deviations),
            tuple(self.notes),
        )


def _not_finite(passes: Sequence[NotedPass], projections: NDArray[np.float64], n_before: int) -> str | None:
    """Say what of an update is not finite."""
    found = [(each.samples, np.isfinite(each.losses) & np.isfinite(each.coefficients)) for each in passes]
    bad = np.concatenate([samples[~is_finite] for samples, is_finite in found])
    if not len(bad) and np.isfinite(projections).all():
        return None
    what = f"the loss of {name_samples(bad)}, or its gradient," if len(bad) else "a parameter after it"
    return (
        f"the training diverged: at update {n_before} {what} is not finite. Lower the learning rate or clip "
        "the gradients; where a single sample is to blame, look for a division by 0, a root or a logarithm at 0"
    )
