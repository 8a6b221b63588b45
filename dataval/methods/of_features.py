"""Methods that compare samples by their features: their inputs, or what a model makes of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dataval.backend.registry import framework_settings
from dataval.checks import described, one_of
from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.methods.features import features_of
from dataval.methods.of_data import DataOnlyValuator
from dataval.methods.of_run import record
from dataval.objectives.hidden import hidden_features
from dataval.objectives.predictions import is_classification
from dataval.training.learner import Learner
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["FeatureValuator", "Features", "Metric"]

FloatArray = NDArray[np.float64]
Features = Literal["inputs", "hidden"] | Callable[[Any], Any]
Metric = Literal["euclidean", "cosine"]


class FeatureValuator(DataOnlyValuator):
    """Base of the methods that compare samples by features, with one label or value a sample.

    Parameters
    ----------
    learner : Learner, optional
        Whose features ``features="hidden"`` are, and what `verify` retrains; nothing else needs it.
    """

    needs: ClassVar[str] = "the samples and features of them"

    features: Features
    metric: Metric

    @framework_settings()
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples and find their features; for ``features="hidden"`` train, or adopt a run.

        Parameters
        ----------
        X, y
            Training inputs and targets: one label or value a sample.
        run : TrainingRun, optional
            A run on the same data: its final state makes the hidden features. Otherwise kept for others.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If the data can't be used, or features are no finite numbers.
        InvalidModelError
            If the model has no last hidden layer.
        RunMismatchError
            If `run` was recorded on other data, or by another learner whose features are asked for.
        TypeError
            If an option is none, or hidden features are asked for without a learner.
        """
        one_of("metric", self.metric, ("euclidean", "cosine"))
        self._check_features()
        super().fit(X, y, run=run)
        self._replay: Replay | None = None
        if self.features == "hidden":
            assert self.learner is not None
            self._replay = record(self.learner, *self._data.as_arguments(), run, _nothing, _nothing)
            self.run_ = self._replay.run
        self._targets, self._classes = self._found_targets(self._data)
        self._vectors = self._features_of(self._data)
        return self

    def _check_features(self) -> None:
        if not callable(self.features) and self.features not in ("inputs", "hidden"):
            raise TypeError(
                "features must be 'inputs', 'hidden' or a function of the inputs, got "
                f"{described(self.features)}"
            )
        if self.features == "hidden" and not isinstance(self.learner, Learner):
            name = type(self).__name__
            raise TypeError(f"features='hidden' are a model's: {name}(learner, features='hidden')")

    def _features_of(self, data: Samples) -> FloatArray:
        if self._replay is not None:
            return hidden_features(self._replay.program, self._replay.final, data)
        return features_of(data, self.features if callable(self.features) else None)

    def _validation_vectors(self, validation: Samples) -> FloatArray:
        """Return the features of validation samples.

        Raises
        ------
        InvalidDataError
            If they are not as many as those of the training samples.
        """
        found = self._features_of(validation)
        if found.shape[1] != self._vectors.shape[1]:
            raise InvalidDataError(
                f"the validation X have {found.shape[1]} features a sample, the training X "
                f"{self._vectors.shape[1]}: they must be as many"
            )
        return found

    def _found_targets(self, data: Samples) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return targets ``(n,)``, and the classes where they are labels."""
        targets = one_target_each(data, type(self).__name__)
        loss = None if self.learner is None else self.learner.loss
        if not is_classification(targets.dtype, loss):
            return targets.astype(np.float64), None
        return targets, np.unique(targets)

    def _validation_targets(self, validation: Samples) -> NDArray[Any]:
        """Return the targets of validation samples.

        Raises
        ------
        InvalidDataError
            If a label never occurs in training.
        """
        targets = one_target_each(validation, type(self).__name__)
        if self._classes is None:
            return targets.astype(np.float64)
        unseen = np.flatnonzero(~np.isin(targets, self._classes))
        if len(unseen):
            raise InvalidDataError(
                f"the validation label {targets[unseen[0]].item()!r} of sample {unseen[0]} never occurs in "
                f"training, where the labels y are {described(self._classes.tolist())}"
            )
        return targets

    @property
    def _progress(self) -> bool | None:
        return None if self.learner is None else self.learner.progress


def one_target_each(data: Samples, method: str) -> NDArray[Any]:
    """Return targets ``(n,)``.

    Raises
    ------
    InvalidDataError
        If a sample has several.
    """
    parts = [targets for _, targets in data.target_parts()]
    if not all(isinstance(part, np.ndarray) and part.size == len(part) for part in parts):
        raise InvalidDataError(f"{method} needs one label or value a sample as target y")
    return np.concatenate([part.reshape(-1) for part in parts])


def _nothing(_: Any) -> None:
    """Check nothing: every run has a final state."""
