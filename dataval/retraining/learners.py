"""Training a learner again, from the start of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from dataval.backend.losses import describe_loss
from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.objectives.utility import SampleObjectives, StateFunction, make_utility
from dataval.objectives.validation import ValidationObjective
from dataval.retraining.again import Coalitions, FloatArray, Mask, Retraining, RetrainingOptions, Utilities
from dataval.retraining.removals import check_removals
from dataval.retraining.retrain import retrain, retrain_without, retraining_key
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay

__all__ = ["LearnerRetraining", "check_learner_removals", "seeded"]


class LearnerRetraining(Retraining):
    """A learner's run.

    Parameters
    ----------
    learner : Learner
    replay : Replay
        Its run, which gives start and weights.
    as_validation : callable
        (X, y, training data) -> validation data, checked.
    """

    def __init__(
        self, learner: Learner, replay: Replay, as_validation: Callable[[Any, Any, Samples], Samples]
    ) -> None:
        self._learner, self._replay, self._as_validation = learner, replay, as_validation
        self.n_samples = replay.run.n_samples

    def check(self, removed: Mask, options: RetrainingOptions) -> None:
        """Raise if a run without so many samples has no plan."""
        check_learner_removals(self._replay.program, removed, options)

    def validation(self, X: Any, y: Any) -> Samples:
        """Return validation samples, checked."""
        return self._as_validation(X, y, self._replay.program.data)

    def utilities(self, removed: Mask, validation: Samples, options: RetrainingOptions) -> Utilities:
        """Train on everything and without each of M removals, for every seed."""
        found = self._with_everything(removed, self.coalitions(validation, options))
        return Utilities(found[..., 0], options.utility != "loss")

    def single_losses(self, removed: Mask, validation: Samples, options: RetrainingOptions) -> FloatArray:
        """Do the same, and return the loss of every validation sample."""
        return self._with_everything(removed, self.coalitions(validation, options, single=True))

    def coalitions(
        self, validation: Samples, options: RetrainingOptions, *, single: bool = False
    ) -> LearnerCoalitions:
        """Return what trains on coalitions of samples; on the empty one, every weight is 0."""
        runs, what = list(self._runs(options.seeds)), "single losses" if single else _describe(options.utility)
        parts = [
            _Judged(
                replay,
                self._judge(replay, validation, options, single),
                _key(replay, validation, what, options),
            )
            for replay in runs
        ]
        return LearnerCoalitions(
            parts, options, is_loss=single or options.utility == "loss", progress=self._learner.progress
        )

    def replay(self) -> Replay:
        """Return the run."""
        return self._replay

    def _with_everything(self, removed: Mask, coalitions: LearnerCoalitions) -> FloatArray:
        everything = np.ones((1, self.n_samples), dtype=bool)
        return coalitions.judge(np.concatenate([everything, ~removed]))

    def _judge(
        self, replay: Replay, validation: Samples, options: RetrainingOptions, single: bool
    ) -> StateFunction:
        backend = replay.program.backend
        if single:
            return SampleObjectives(ValidationObjective(backend, validation, options.objective))
        return make_utility(
            options.utility, backend, validation, objective=options.objective, loss=self._learner.loss
        )

    def _runs(self, seeds: tuple[int, ...] | None) -> Iterator[Replay]:
        """Yield the run itself, or one that is still to be done for every seed."""
        if seeds is None:
            yield self._replay
            return
        yield from (replay for _, replay in seeded(self._learner, self._replay.program, seeds))


def seeded(learner: Learner, program: Program, seeds: tuple[int, ...]) -> Iterator[tuple[Learner, Replay]]:
    """Yield a learner for every seed, with a run of the same program under it that is still to be done."""
    for seed in seeds:
        other = copy(learner)
        other.training = program.training.model_copy(update={"seed": seed})
        yield other, other.prepare(*program.data.as_arguments(), program.weights)


class _Judged(NamedTuple):
    """A run, what its like are judged by, and what results are kept under."""

    replay: Replay
    utility: StateFunction
    key: str


class LearnerCoalitions(Coalitions):
    """Training a learner on coalitions of samples.

    Parameters
    ----------
    parts : list
        One a seed.
    options : RetrainingOptions
    is_loss : bool
        Whether less is better.
    progress : bool or None
    """

    def __init__(
        self, parts: list[_Judged], options: RetrainingOptions, *, is_loss: bool, progress: bool | None
    ) -> None:
        self._parts, self._options, self._progress = parts, options, progress
        self.greater_is_better = not is_loss

    def judge(self, kept: Mask) -> FloatArray:
        """Train on each of M coalitions ``(M, N)``; judge the models, shape ``(n_seeds, M, Q)``.

        Raises
        ------
        TrainingDivergedError
            If what runs gave is not finite.
        """
        found = np.stack([self._retrain(part, ~kept) for part in self._parts])
        return found if found.ndim == 3 else found[..., None]

    def _retrain(self, part: _Judged, removed: Mask) -> FloatArray:
        options, program, start = self._options, part.replay.program, part.replay.initial
        common: dict[str, Any] = {
            "key": part.key,
            "n_jobs": options.n_jobs,
            "folder": options.folder,
            "progress": self._progress,
        }
        if options.mode == "removal":
            return retrain_without(program, start, removed, part.utility, **common)
        weights = part.replay.run.weights * ~removed
        return retrain(program, start, weights, part.utility, group_size=options.group_size, **common)


def _key(replay: Replay, validation: Samples, what: str, options: RetrainingOptions) -> str:
    if options.folder is None:
        return ""
    return retraining_key(replay, validation, what, options.utility, options.objective)


def check_learner_removals(program: Program, removed: Mask, options: RetrainingOptions) -> None:
    """Raise, before any training, if samples are to be really left out and a run without them has no plan."""
    if options.mode == "removal":
        check_removals(program, removed)
    if options.seeds is not None and program.plan.is_recorded:
        raise InvalidDataError(
            "a recorded loop can't be done again under other seeds: leave seeds out, or train by Learner.train"
        )


def _describe(utility: str | Callable[..., float]) -> str:
    return utility if isinstance(utility, str) else describe_loss(utility)
