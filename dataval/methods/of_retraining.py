"""Methods of what can be trained again without some of its samples: a learner, or an estimator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from sklearn.utils.validation import check_is_fitted

from dataval.backend import ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import described, folder_path, one_of, process_count, seed_list, whole_number
from dataval.methods.base import DataValuator
from dataval.methods.groups import Groups
from dataval.methods.matching import as_validation
from dataval.methods.of_run import record
from dataval.objectives.utility import check_utility
from dataval.objectives.validation import check_objective
from dataval.retraining.again import Mask, Retraining, RetrainingOptions
from dataval.retraining.estimators import EstimatorRetraining, is_estimator
from dataval.retraining.learners import LearnerRetraining, check_learner_removals
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["RetrainingValuator"]


class RetrainingValuator(DataValuator):
    """Base of the methods that train again without some of the samples.

    Subclasses implement ``_score(retraining, validation)`` with a `Retraining`, and `_removals`.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
    """

    needs: ClassVar[str] = "what can be trained again without some of its samples"

    learner: Learner | Any
    utility: str | Callable[..., float]
    objective: ObjectiveFunction | None
    seeds: Sequence[int] | None
    mode: Literal["weight", "removal"] = "weight"
    n_jobs: int | None
    group_size: int | None
    folder: str | Path | None

    @framework_settings()
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Train the learner and record the run, or adopt a run; an estimator is only checked.

        Parameters
        ----------
        X, y
            Training inputs and targets; for an estimator whatever it takes (arrays, data frames, sparse
            matrices, lists).
        run : TrainingRun, optional
            As for `DataValuator.fit`; not for estimators.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError, InvalidModelError, RunMismatchError
            As `DataValuator.fit`; before any training.
        IndexError, TypeError, ValueError
            If an option makes no sense, for so many samples, or for an estimator.
        """
        self._options()
        self._retraining = (
            self._of_estimator(X, y, run) if is_estimator(self.learner) else self._of_run(X, y, run)
        )
        self.run_ = None if is_estimator(self.learner) else self._retraining.replay().run
        return self

    def _options(self) -> RetrainingOptions:
        """Return how to train again, checked."""
        if not isinstance(self.utility, str) and not callable(self.utility):
            raise TypeError(f"utility must be a name or a function, got {described(self.utility)}")
        return RetrainingOptions(
            utility=self.utility,
            objective=self.objective,
            seeds=None if self.seeds is None else seed_list(self.seeds),
            mode=one_of("mode", self.mode, ("weight", "removal")),
            n_jobs=process_count("n_jobs", self.n_jobs),
            group_size=None
            if self.group_size is None
            else whole_number("group_size", self.group_size, minimum=1),
            folder=folder_path("folder", self.folder),
        )

    @abstractmethod
    def _removals(self, n: int) -> Mask:
        """Return what of N samples is to be left out, ``(M, N)``, for checks; raise if there is no such way."""

    def _of_estimator(self, X: Any, y: Any, run: TrainingRun | None) -> Retraining:
        if run is not None:
            raise TypeError("an estimator of scikit-learn has no recorded run: leave run out")
        retraining = EstimatorRetraining(self.learner, X, y)
        retraining.check(self._removals(retraining.n_samples), self._options())
        return retraining

    def _of_run(self, X: Any, y: Any, run: TrainingRun | None) -> Retraining:
        if not isinstance(self.learner, Learner):
            raise TypeError(
                f"{type(self).__name__} needs a dataval.Learner, or a classifier or regressor of scikit-learn, "
                f"got {type(self.learner).__name__}: it asks its question of {self.needs}; wrap the model in "
                "Learner(model, loss=..., training=...)"
            )
        check_objective(self.objective)
        check_utility(self.utility)
        replay = record(self.learner, X, y, run, self._check, self._check_run)
        return LearnerRetraining(self.learner, replay, as_validation)

    def _check(self, program: Program) -> None:
        check_learner_removals(program, self._removals(len(program.data)), self._options())

    def _check_run(self, replay: Replay) -> None:
        replay.check_updates(type(self).__name__)

    def _check_single(self, retraining: Retraining) -> None:
        """Raise `TypeError` if there are no values for single validation samples."""
        retraining.replay()  # an estimator has none, nor losses one by one
        if self.utility != "loss":
            raise TypeError(f"utility={self.utility!r} has no value for single validation samples: use score")

    def _groups(self, retraining: Retraining, validation: Any, groups: Any) -> Groups:
        retraining.replay()  # an estimator has none
        return super()._groups(retraining, validation, groups)

    def _question(self, X: Any, y: Any) -> tuple[Retraining, Any]:
        check_is_fitted(self, "run_")
        return self._retraining, self._retraining.validation(X, y)

    def _predicting(self) -> Replay:
        return self._trained_again()

    def _trained_again(self) -> Replay:
        check_is_fitted(self, "run_")
        return self._retraining.replay()
