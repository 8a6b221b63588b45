"""Fitting estimators of scikit-learn again and again, each time without one sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.metrics import check_scoring, mean_squared_error
from sklearn.utils import check_consistent_length

from dataval.errors import InvalidDataError
from dataval.progress import progress_bar
from dataval.training.learner import Learner

__all__ = ["EstimatorRetraining", "EstimatorUtilities", "is_estimator"]

FloatArray = NDArray[np.float64]
Scorer = Callable[[Any, Any, Any], float]


def is_estimator(model: object) -> bool:
    """Whether this is a classifier or regressor of scikit-learn (a `Learner` is not)."""
    return (
        isinstance(model, BaseEstimator)
        and not isinstance(model, Learner)
        and bool(is_classifier(model) or is_regressor(model))
    )


@dataclass(frozen=True)
class EstimatorUtilities:
    """What was measured.

    Attributes
    ----------
    utilities : ndarray of float64, shape (n_seeds, 1 + M)
        Fitted on everything, then without each of M samples.
    greater_is_better : bool
    """

    utilities: FloatArray
    greater_is_better: bool


class EstimatorRetraining:
    """An estimator with its training data.

    Parameters
    ----------
    estimator : estimator
        It is cloned, never fitted itself.
    X, y
        Training data.

    Raises
    ------
    InvalidDataError
        If X and y differ in length, or there are fewer than two samples.
    """

    def __init__(self, estimator: Any, X: Any, y: Any) -> None:
        self._estimator, self._X, self._y = estimator, np.asarray(X), np.asarray(y)
        try:
            check_consistent_length(self._X, self._y)
        except ValueError as error:
            raise InvalidDataError(str(error)) from error
        self.n = len(self._y)
        if self.n < 2:
            raise InvalidDataError("leaving one out needs at least two training samples")

    def utilities(
        self,
        left_out: NDArray[np.int64],
        X: Any,
        y: Any,
        *,
        utility: str | Scorer,
        seeds: Sequence[int] | None,
        n_jobs: int,
    ) -> EstimatorUtilities:
        """Fit on everything and without each of some samples, for every seed.

        Parameters
        ----------
        left_out : ndarray of int64, shape (M,)
            The samples.
        X, y
            Validation data.
        utility : str or callable
            ``"loss"``, a scorer's name, or a function (estimator, X, y) -> number, where greater is better.
        seeds : sequence of int, optional
            Values of the estimator's `random_state`.
        n_jobs : int
            Processes.
        """
        scorer = _loss if utility == "loss" else check_scoring(self._estimator, utility)
        settings: Sequence[int | None] = seeds or [None]
        tasks = [(seed, j) for seed in settings for j in (None, *left_out.tolist())]
        with progress_bar("fitting", len(tasks), None) as bar:
            parallel = Parallel(n_jobs=n_jobs, return_as="generator")
            found = []
            for value in parallel(delayed(self._fit)(seed, j, scorer, X, y) for seed, j in tasks):
                found.append(value)
                bar.update()
        _check_finite(found, [j for _, j in tasks])
        return EstimatorUtilities(np.reshape(found, (-1, 1 + len(left_out))), utility != "loss")

    def _fit(self, seed: int | None, left_out: int | None, scorer: Scorer, X: Any, y: Any) -> float:
        estimator = clone(self._estimator)
        if seed is not None:
            estimator.set_params(random_state=seed)
        kept = np.arange(self.n) if left_out is None else np.delete(np.arange(self.n), left_out)
        estimator.fit(self._X[kept], self._y[kept])
        return float(scorer(estimator, X, y))


def _check_finite(found: list[float], left_out: list[int | None]) -> None:
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        sample = left_out[bad[0]]
        which = "on all samples" if sample is None else f"without sample {sample}"
        raise InvalidDataError(
            f"the utility of the estimator fitted {which} is {found[bad[0]]}: check its predictions on the "
            "validation samples, and the scorer"
        )


def _loss(estimator: Any, X: Any, y: Any) -> float:
    """Log loss of a classifier's probabilities, mean squared error of a regressor's predictions.

    A class that was left out with its only sample has probability 0, clipped as by `sklearn.metrics.log_loss`.
    """
    if is_regressor(estimator):
        return float(mean_squared_error(y, estimator.predict(X)))
    if not hasattr(estimator, "predict_proba"):
        raise InvalidDataError(
            f"{type(estimator).__name__} gives no probabilities, so it has no loss: choose another utility, "
            "such as 'accuracy'"
        )
    probabilities, classes = estimator.predict_proba(X), estimator.classes_.tolist()
    columns = np.array([classes.index(label) if label in classes else -1 for label in np.asarray(y).tolist()])
    given = np.where(columns < 0, 0.0, probabilities[np.arange(len(columns)), columns])
    return float(-np.log(np.maximum(given, np.finfo(np.float64).eps)).mean())
