"""Methods that train on some of the samples again and again, and ask how each model fares on single samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from sklearn.utils.validation import check_is_fitted

from dataval.backend.registry import framework_settings
from dataval.checks import folder_path, process_count, whole_number
from dataval.data import Samples
from dataval.methods.base import DataValuator
from dataval.methods.matching import as_validation
from dataval.retraining.estimators import is_estimator
from dataval.retraining.outcomes import EstimatorOutcomes, LearnerOutcomes, Measure, OutcomeOptions, Outcomes
from dataval.training.learner import Learner
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["OutcomeValuator"]


class OutcomeValuator(DataValuator):
    """Base of the methods that train on some samples again and again.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
    """

    needs: ClassVar[str] = "what can be trained on some of its samples"

    n_jobs: int | None
    group_size: int | None
    folder: str | Path | None
    seed: int

    @framework_settings()
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, and train what the method can without validation samples.

        Parameters
        ----------
        X, y
            Training inputs and targets; for an estimator whatever it takes (arrays, data frames, sparse
            matrices, lists).
        run : TrainingRun, optional
            A run of the learner on the same data, which gives start, batches and weights; not for estimators.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError, InvalidModelError, RunMismatchError
            As `DataValuator.fit`; before any training.
        TypeError, ValueError
            If an option makes no sense, or none for an estimator.
        """
        whole_number("seed", self.seed, minimum=0)
        model = self._model(y)
        if is_estimator(model):
            if run is not None:
                raise TypeError("an estimator of scikit-learn has no recorded run: leave run out")
            self._outcomes: Outcomes = EstimatorOutcomes(model, X, y)
        elif isinstance(model, Learner):
            replay = model.prepare(X, y, run=run)
            replay.check_updates(type(self).__name__)
            self._outcomes = LearnerOutcomes(model, replay)
        else:
            name, given = type(self).__name__, type(model).__name__
            raise TypeError(
                f"{name} needs a dataval.Learner, or a classifier or regressor of scikit-learn, got {given}: "
                f"it asks its question of {self.needs}; wrap the model in Learner(model, loss=..., "
                "training=...)"
            )
        self._outcomes.check(self._options(self._measure()), type(self).__name__)
        self._begin(self._outcomes)
        self.run_ = run
        return self

    def _model(self, y: Any) -> Any:
        """Return what is trained."""
        return self.learner

    def _measure(self) -> Measure:
        return "accuracy"

    def _begin(self, outcomes: Outcomes) -> None:
        """Do what needs no validation samples."""

    def _options(self, measure: Measure) -> OutcomeOptions:
        size = self.group_size
        return OutcomeOptions(
            measure=measure,
            n_jobs=process_count("n_jobs", self.n_jobs),
            group_size=None if size is None else whole_number("group_size", size, minimum=1),
            folder=folder_path("folder", self.folder),
        )

    def _question(self, X: Any, y: Any) -> tuple[Outcomes, Any]:
        check_is_fitted(self, "run_")
        if isinstance(self._outcomes, EstimatorOutcomes):
            return self._outcomes, self._outcomes.retraining.validation(X, y)
        judged: Samples = as_validation(X, y, self._outcomes.training)
        return self._outcomes, judged

    def _trained_again(self) -> Replay:
        check_is_fitted(self, "run_")
        if not isinstance(self._outcomes, LearnerOutcomes):
            raise TypeError("only score is there for estimators of scikit-learn: the rest needs a Learner")
        return self._outcomes.replay
