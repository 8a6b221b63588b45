"""How models that were trained on samples counted anew fare on every single sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier

from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.objectives.correctness import SampleCorrectness
from dataval.objectives.logits import check_classifier
from dataval.objectives.utility import SampleObjectives, StateFunction
from dataval.objectives.validation import ValidationObjective
from dataval.progress import progress_bar
from dataval.retraining.again import RetrainingOptions
from dataval.retraining.estimators import EstimatorRetraining
from dataval.retraining.random_states import fixed
from dataval.retraining.retrain import retrain, retraining_key
from dataval.retraining.workers import carry_out, in_order
from dataval.training.learner import Learner
from dataval.training.replay import Replay

__all__ = ["EstimatorOutcomes", "LearnerOutcomes", "Measure", "OutcomeOptions", "Outcomes", "Resample"]

FloatArray = NDArray[np.float64]
Measure = Literal["accuracy", "loss"]


@dataclass(frozen=True)
class Resample:
    """How often every training sample counts, and the seed of a model's own random draws.

    Attributes
    ----------
    counts : ndarray of int64, shape (N,)
        At least one is above 0.
    seed : int
        For estimators; a learner's draws are those of its run.
    """

    counts: NDArray[np.int64]
    seed: int


@dataclass(frozen=True)
class OutcomeOptions:
    """What is measured of every sample, and how to train.

    Attributes
    ----------
    measure : {"accuracy", "loss"}
        1 where a model is right and 0 where it is wrong, or the loss.
    n_jobs : int or None
    group_size : int or None
        Models of a learner that are trained at once.
    folder : Path or None
        Where what became of a learner's models is kept and looked up.
    """

    measure: Measure
    n_jobs: int | None = None
    group_size: int | None = None
    folder: Path | None = None


class Outcomes(ABC):
    """What can be trained on samples counted anew.

    Attributes
    ----------
    n_samples : int
    labels : ndarray, shape (N,)
        The training targets.
    """

    n_samples: int
    labels: NDArray[Any]

    @abstractmethod
    def check(self, options: OutcomeOptions, method: str) -> None:
        """Raise, before any training, if there is no such measure of this model, or an option is not for it."""

    @property
    @abstractmethod
    def training(self) -> Any:
        """The training samples, in the form in which `rows` takes them."""

    @abstractmethod
    def rows(
        self, resamples: Iterable[Resample], judged: Any, options: OutcomeOptions
    ) -> Iterator[FloatArray | str]:
        """Yield what became of samples ``(n,)`` for each model in turn, or why there is no such model."""


class EstimatorOutcomes(Outcomes):
    """Of an estimator of scikit-learn, fitted on each sample as often as it counts.

    Where only one class is left, a classifier always says that one.

    Parameters
    ----------
    estimator : estimator
        It is cloned; all its random states become a model's seed.
    X, y
        Training data, whatever it takes.
    """

    def __init__(self, estimator: Any, X: Any, y: Any) -> None:
        self._estimator = estimator
        self.retraining = EstimatorRetraining(estimator, X, y)
        self._data = self.retraining.validation(X, y)
        self.n_samples = self.retraining.n_samples
        self.labels = np.asarray(self._data.y)
        if self.labels.ndim > 1:
            raise InvalidDataError("one target y a sample is needed, and there are several")

    @property
    def training(self) -> Any:
        """The training samples."""
        return self._data

    def check(self, options: OutcomeOptions, method: str) -> None:
        """Raise if an option is for learners alone, or a regressor is asked whether it is right."""
        none = np.zeros((0, self.n_samples), dtype=bool)
        asked = RetrainingOptions(group_size=options.group_size, folder=options.folder)
        self.retraining.check(none, asked)
        name = type(self._estimator).__name__
        if options.measure == "accuracy" and not is_classifier(self._estimator):
            raise ValueError(f"{method} by 'accuracy' needs a classifier, and {name} is none")
        has_loss = hasattr(self._estimator, "predict_proba") or not is_classifier(self._estimator)
        if options.measure == "loss" and not has_loss:
            raise ValueError(f"{name} gives no probabilities, so it has no loss: choose utility='accuracy'")

    def rows(
        self, resamples: Iterable[Resample], judged: Any, options: OutcomeOptions
    ) -> Iterator[FloatArray | str]:
        """Fit one estimator after the other, or several in parallel."""
        shared = self, judged, options.measure
        return in_order(carry_out(_fit, shared, list(resamples), options.n_jobs))

    def fit(self, resample: Resample, judged: Any, measure: Measure) -> FloatArray | str:
        """Return what became of samples under one fit, or why there is none."""
        chosen = np.repeat(np.arange(self.n_samples), resample.counts)
        try:
            is_one_class = is_classifier(self._estimator) and len(np.unique(self.labels[chosen])) == 1
            model = DummyClassifier() if is_one_class else fixed(self._estimator, resample.seed)
            model.fit(*self._data.take(chosen))
            found = _measured(model, judged.X, judged.y, measure)
        except Exception as error:  # noqa: BLE001 - the caller says which fits failed
            return f"{type(error).__name__}: {' '.join(str(error).split())}"
        return found if np.isfinite(found).all() else "its predictions are not finite"


def _fit(shared: tuple[EstimatorOutcomes, Any, Measure], resample: Resample) -> FloatArray | str:
    outcomes, judged, measure = shared
    return outcomes.fit(resample, judged, measure)


class LearnerOutcomes(Outcomes):
    """Of a learner, whose samples' weights are multiplied by how often they count.

    Parameters
    ----------
    learner : Learner
    replay : Replay
        Its run, which need not have been carried out: start, batches and weights are taken from it.
    """

    def __init__(self, learner: Learner, replay: Replay) -> None:
        self._learner, self._replay = learner, replay
        self.n_samples = replay.run.n_samples
        parts = [targets for _, targets in replay.program.data.target_parts()]
        if not all(isinstance(part, np.ndarray) and part.size == len(part) for part in parts):
            raise InvalidDataError("one target y a sample is needed, and there are several")
        self.labels = np.concatenate([part.reshape(-1) for part in parts])

    @property
    def training(self) -> Samples:
        """The training samples."""
        return self._replay.program.data

    @property
    def replay(self) -> Replay:
        """The run."""
        return self._replay

    def check(self, options: OutcomeOptions, method: str) -> None:
        """Raise if a model that gives no class logits is asked whether it is right."""
        if options.measure == "accuracy":
            check_classifier(self._replay.program, f"{method} by 'accuracy'")

    def rows(
        self, resamples: Iterable[Resample], judged: Any, options: OutcomeOptions
    ) -> Iterator[FloatArray | str]:
        """Train all, many at once as one vectorised program."""
        program, start = self._replay.program, self._replay.initial
        counts = np.stack([each.counts for each in resamples])
        key = ""
        if options.folder is not None:
            key = retraining_key(self._replay, judged, f"outcomes by {options.measure}")
        yield from retrain(
            program,
            start,
            self._replay.run.weights * counts,
            self._function(judged, options.measure),
            key=key,
            n_jobs=options.n_jobs,
            group_size=options.group_size,
            folder=options.folder,
            progress=self._learner.progress,
        )

    def _function(self, judged: Samples, measure: Measure) -> StateFunction:
        backend = self._replay.program.backend
        if measure == "accuracy":
            return SampleCorrectness(backend, judged)
        return SampleObjectives(ValidationObjective(backend, judged, None))


def with_progress(
    rows: Iterator[FloatArray | str], total: int, show: bool | None
) -> Iterator[FloatArray | str]:
    """Yield the same, with a progress bar."""
    with progress_bar("fitting", total, show) as bar:
        for row in rows:
            yield row
            bar.update()


def _measured(model: Any, X: Any, y: Any, measure: Measure) -> FloatArray:
    targets = np.asarray(y)
    if measure == "accuracy":
        return np.asarray(np.asarray(model.predict(X)) == targets, dtype=np.float64)
    if not is_classifier(model):
        return np.asarray((np.asarray(model.predict(X), dtype=np.float64) - targets) ** 2)
    probabilities, classes = model.predict_proba(X), model.classes_.tolist()
    columns = np.array([classes.index(label) if label in classes else -1 for label in targets.tolist()])
    given = np.where(columns < 0, 0.0, probabilities[np.arange(len(columns)), columns])
    return np.asarray(-np.log(np.maximum(given, np.finfo(np.float64).eps)))
