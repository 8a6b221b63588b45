"""Data-OOB: how models that have not seen a sample fare on it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from dataval.checks import one_of, whole_number
from dataval.errors import InvalidDataError, RetrainingWarning
from dataval.methods.of_outcomes import OutcomeValuator
from dataval.retraining.estimators import is_estimator
from dataval.retraining.outcomes import LearnerOutcomes, Measure, Outcomes, Resample, with_progress
from dataval.training.learner import Learner

__all__ = ["DataOOB"]

FloatArray = NDArray[np.float64]


class DataOOB(OutcomeValuator):
    r"""How often the models of a bagging ensemble that have not seen a sample are right about it.

    .. math:: \mathrm{value}_j = \frac{\sum_b [w_{bj} = 0]\; T(y_j, f_b(x_j))}{\sum_b [w_{bj} = 0]}

    where model b is trained on a bootstrap, N samples drawn with replacement of which :math:`w_{bj}` are sample
    j, and T is 1 for the right label and 0 for another, minus the squared error of a regressor, or minus the
    loss. About a third of the models have not seen a sample. High: others predict the sample. Low: they
    contradict it, as where the label is wrong. So the scale has no zero at which samples begin to hurt; nothing
    is said of what a sample does to a model: choose `LeaveOneOut` or `HyDRA` for that.

    No validation samples are needed: all training is done in `fit`, and `score` gives the same answer for any
    validation set. It is for tables in the first place, of which trees need no scaling, at the cost of
    `n_models` fits; of the same cost whatever the validation set, where `KNNShapley` is faster, but needs
    distances that mean something.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator, optional
        What is trained on each bootstrap. By default decision trees on all numbers of the inputs: a
        classifier's where targets are whole numbers or texts, otherwise a regressor's. An estimator is cloned,
        and gets other random states for each model. A learner trains from the same start in the same batches,
        in which a sample's weight is multiplied by how often it was drawn: only the bootstraps differ.
    n_models : int, default 200
        Number of bootstraps; Kwon & Zou take 1,000.
    utility : {"accuracy", "loss"}, optional
        T. By default ``"accuracy"`` for labels and ``"loss"`` for other targets. The loss of a classifier of
        scikit-learn is the log loss, of a regressor the squared error, of a learner its own.
    seed : int, default 0
        Draws bootstraps and random states.
    n_jobs : int, optional
        Processes that train in parallel, -1 for as many as there are cores; by default one, or what
        `joblib.parallel_config` says, such as all workers of a Dask cluster.
    group_size : int, optional
        Models of a learner that are trained at once. Changes values by rounding only. Not for estimators.
    folder : path, optional
        Where a learner's finished models' results are kept and looked up. Not for estimators.

    Attributes
    ----------
    run_ : TrainingRun or None
        The run that was given to `fit`.
    diagnostics_ : dict
        ``"standard_error"``: of every value, over the models, shape ``(N,)``; NaN where fewer than two have not
        seen the sample. ``"n_models"``: how many models each value is a mean over, shape ``(N,)``.

    References
    ----------
    Kwon & Zou (2023). Data-OOB: out-of-bag estimate as a simple and efficient data value. ICML.
    https://arxiv.org/abs/2304.07718

    Examples
    --------
    >>> values = dv.DataOOB().fit(X, y).score(X_val, y_val)
    """

    needs_learner: ClassVar[bool] = False

    def __init__(
        self,
        learner: Learner | Any | None = None,
        *,
        n_models: int = 200,
        utility: Measure | None = None,
        seed: int = 0,
        n_jobs: int | None = None,
        group_size: int | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self.learner = learner
        self.n_models = n_models
        self.utility = utility
        self.seed = seed
        self.n_jobs = n_jobs
        self.group_size = group_size
        self.folder = folder

    def _model(self, y: Any) -> Any:
        whole_number("n_models", self.n_models, minimum=1)
        if self.utility is not None:
            one_of("utility", self.utility, ("accuracy", "loss"))
        self._is_classifier = np.asarray(y).dtype.kind in "biuOUS"
        if self.learner is None:
            tree = DecisionTreeClassifier() if self._is_classifier else DecisionTreeRegressor()
            return make_pipeline(FunctionTransformer(_as_table), tree)
        if is_estimator(self.learner):
            self._is_classifier = is_classifier(self.learner)
        return self.learner

    def _measure(self) -> Measure:
        if self.utility is not None:
            return self.utility
        if isinstance(self._outcomes, LearnerOutcomes):
            self._is_classifier = self._outcomes.labels.dtype.kind in "biu"
        return "accuracy" if self._is_classifier else "loss"

    def _begin(self, outcomes: Outcomes) -> None:
        options = self._options(self._measure())
        sign = 1.0 if options.measure == "accuracy" else -1.0
        rows = outcomes.rows(self._resamples(outcomes.n_samples), outcomes.training, options)
        if not isinstance(outcomes, LearnerOutcomes):
            rows = with_progress(rows, self.n_models, None)
        moments, problems = _Moments(outcomes.n_samples), []
        for resample, row in zip(self._resamples(outcomes.n_samples), rows, strict=True):
            if isinstance(row, str):
                problems.append(row)
            else:
                moments.add(sign * row, resample.counts == 0)
        self._report(problems, moments.n)
        self._values = moments.mean
        self.diagnostics_ = {"standard_error": moments.standard_error(), "n_models": moments.n}

    def _resamples(self, n: int) -> Iterator[Resample]:
        """Yield the bootstraps: each has its own random numbers, whatever the others are."""
        for model in range(self.n_models):
            rng = np.random.default_rng([self.seed, model])
            yield Resample(np.bincount(rng.integers(n, size=n), minlength=n), int(rng.integers(2**31)))

    def _report(self, problems: list[str], n_models: NDArray[np.int64]) -> None:
        if len(problems) == self.n_models:
            raise InvalidDataError(f"none of the {self.n_models} models could be fitted: {problems[0]}")
        if problems:
            warnings.warn(
                f"{len(problems)} of {self.n_models} models could not be fitted, and are left out: "
                f"{problems[0]}",
                RetrainingWarning,
                stacklevel=4,
            )
        if n_unseen := int((n_models == 0).sum()):
            warnings.warn(
                f"{n_unseen} samples were in every bootstrap, and have no value (NaN): raise n_models",
                RetrainingWarning,
                stacklevel=4,
            )

    def _score(self, source: Outcomes, validation: Any) -> FloatArray:
        return self._values.copy()


def _as_table(X: Any) -> Any:
    """Return images and the like as rows of numbers; a table stays."""
    return X.reshape(len(X), -1) if isinstance(X, np.ndarray) and X.ndim > 2 else X


class _Moments:
    """Means and variances of every sample's outcomes, one model after the other (Welford's recursion)."""

    def __init__(self, n: int) -> None:
        self.n = np.zeros(n, dtype=np.int64)
        self._mean, self._squares = np.zeros(n), np.zeros(n)

    def add(self, outcomes: FloatArray, counts: NDArray[np.bool_]) -> None:
        """Take the outcomes of one model for the samples that count."""
        self.n += counts
        deviation = np.where(counts, outcomes - self._mean, 0.0)
        self._mean += deviation / np.maximum(self.n, 1)
        self._squares += np.where(counts, deviation * (outcomes - self._mean), 0.0)

    @property
    def mean(self) -> FloatArray:
        """The means; NaN of nothing."""
        return np.where(self.n > 0, self._mean, np.nan)

    def standard_error(self) -> FloatArray:
        """Return the standard errors of the means; NaN of fewer than two."""
        variance = self._squares / np.maximum(self.n - 1, 1)
        return np.where(self.n > 1, np.sqrt(variance / np.maximum(self.n, 1)), np.nan)
