"""Training a learner again, from the start of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import numpy as np

from dataval.backend.losses import describe_loss
from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.objectives.utility import SampleObjectives, StateFunction, Utility, make_utility
from dataval.objectives.validation import ValidationObjective
from dataval.retraining.again import FloatArray, Mask, Retraining, RetrainingOptions, Utilities
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

        def utility_of(replay: Replay) -> Utility:
            return make_utility(
                options.utility,
                replay.program.backend,
                validation,
                objective=options.objective,
                loss=self._learner.loss,
            )

        found = self._retrained(removed, validation, utility_of, _describe(options.utility), options)
        return Utilities(found, options.utility != "loss")

    def single_losses(self, removed: Mask, validation: Samples, options: RetrainingOptions) -> FloatArray:
        """Do the same, and return the loss of every validation sample."""

        def losses_of(replay: Replay) -> SampleObjectives:
            return SampleObjectives(ValidationObjective(replay.program.backend, validation, options.objective))

        return self._retrained(removed, validation, losses_of, "single losses", options)

    def replay(self) -> Replay:
        """Return the run."""
        return self._replay

    def _retrained(
        self,
        removed: Mask,
        validation: Samples,
        make: Callable[[Replay], StateFunction],
        what: str,
        options: RetrainingOptions,
    ) -> FloatArray:
        everything = np.zeros((1, self.n_samples), dtype=bool)
        rows = np.concatenate([everything, removed])
        runs = self._runs(options.seeds)
        return np.stack([self._retrain(one, rows, validation, make(one), what, options) for one in runs])

    def _retrain(
        self,
        replay: Replay,
        removed: Mask,
        validation: Samples,
        utility: StateFunction,
        what: str,
        options: RetrainingOptions,
    ) -> FloatArray:
        names = what, options.utility, options.objective
        common: dict[str, Any] = {
            "key": "" if options.folder is None else retraining_key(replay, validation, *names),
            "n_jobs": options.n_jobs,
            "folder": options.folder,
            "progress": self._learner.progress,
        }
        program, start = replay.program, replay.initial
        if options.mode == "removal":
            return retrain_without(program, start, removed, utility, **common)
        weights = replay.run.weights * ~removed
        return retrain(program, start, weights, utility, group_size=options.group_size, **common)

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
