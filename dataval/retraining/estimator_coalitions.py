"""Fitting an estimator of scikit-learn on coalitions of samples, down to those that give no model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.utils import _safe_indexing

from dataval.errors import InvalidDataError, RetrainingWarning
from dataval.progress import progress_bar
from dataval.retraining.again import Coalitions, FloatArray, Mask
from dataval.retraining.random_states import fixed
from dataval.retraining.workers import carry_out

__all__ = ["EstimatorCoalitions", "Rows", "Scorer", "finite", "line"]

Scorer = Callable[[Any, Any, Any], float]


class Rows(NamedTuple):
    """Inputs and targets of samples, as an estimator takes them."""

    X: Any
    y: Any

    def take(self, indices: NDArray[np.intp]) -> Rows:
        """Return some of them."""
        return Rows(_safe_indexing(self.X, indices), _safe_indexing(self.y, indices))


class EstimatorCoalitions(Coalitions):
    """Fitting an estimator on coalitions of samples.

    The empty coalition gives no model: what is judged in its place is the prior prediction, that of
    scikit-learn's `DummyClassifier` (shares of the classes) or `DummyRegressor` (mean) of all training targets.
    It also stands for coalitions of one class that the estimator refuses, and, with a warning, for any other
    that it can't be fitted on or judged after (fewer samples than neighbours, say).

    Parameters
    ----------
    estimator : estimator
    data, validation : Rows
    scorer : callable
        (estimator, X, y) -> number.
    seeds : sequence of int or None
        Random states, one None for the estimator's own.
    n_jobs : int or None
    is_loss : bool
        Whether less is better.

    Raises
    ------
    InvalidDataError
        If the prior prediction can't be judged.
    """

    def __init__(
        self,
        estimator: Any,
        data: Rows,
        validation: Rows,
        scorer: Scorer,
        *,
        seeds: tuple[int | None, ...],
        n_jobs: int | None,
        is_loss: bool,
    ) -> None:
        self._estimator, self._data, self._validation = estimator, data, validation
        self._scorer, self._seeds, self._n_jobs = scorer, seeds, n_jobs
        self._name = type(estimator).__name__
        self.greater_is_better = not is_loss
        self._prior = self._judge_prior()
        self._has_warned = False

    def judge(self, kept: Mask) -> FloatArray:
        """Fit on each of M coalitions ``(M, N)``; judge the fits, shape ``(n_seeds, M, 1)``.

        Warns
        -----
        RetrainingWarning
            If the prior prediction stands for a coalition of several classes.
        """
        tasks = [(seed, row) for seed in self._seeds for row in kept]
        found = np.empty(len(tasks))
        with progress_bar("fitting", len(tasks), None) as bar:
            for i, one in carry_out(_fit, self, tasks, self._n_jobs):
                found[i] = self._of_prior(one, tasks[i][1]) if isinstance(one, str) else one
                bar.update()
        return found.reshape(len(self._seeds), len(kept), 1)

    def fit(self, seed: int | None, kept: NDArray[np.bool_]) -> float | str:
        """Return the utility of one fit, or why there is none."""
        if not kept.any():
            return "it has no samples"
        try:
            part = self._data.take(np.flatnonzero(kept))
            estimator = fixed(self._estimator, seed).fit(part.X, part.y)
            return finite(self._scorer(estimator, self._validation.X, self._validation.y))
        except Exception as error:  # noqa: BLE001 - told in a warning; the other fits are not lost
            return f"{type(error).__name__}: {line(error)}"

    def _of_prior(self, problem: str, kept: NDArray[np.bool_]) -> float:
        self.n_without_model += 1
        if not self._has_warned and self._is_informative(kept):
            self._has_warned = True
            warnings.warn(
                f"{self._name} gives no model from {int(kept.sum())} samples ({problem}): the prior "
                "prediction stands for it and for others like it; diagnostics_ counts them",
                RetrainingWarning,
                stacklevel=2,
            )
        return self._prior

    def _is_informative(self, kept: NDArray[np.bool_]) -> bool:
        """Whether one would expect a model from these samples."""
        if is_regressor(self._estimator) or not kept.any():
            return bool(kept.any())
        labels = np.asarray(self._data.take(np.flatnonzero(kept)).y)
        return labels.ndim > 1 or len({*labels.tolist()}) > 1

    def _judge_prior(self) -> float:
        kind = DummyRegressor() if is_regressor(self._estimator) else DummyClassifier(strategy="prior")
        y = np.asarray(self._data.y)
        try:
            return finite(
                self._scorer(kind.fit(np.zeros((len(y), 1)), y), self._validation.X, self._validation.y)
            )
        except Exception as error:
            raise InvalidDataError(
                f"the utility failed on the prior prediction ({type(kind).__name__}), which stands for the "
                f"empty coalition: {line(error)}; let it take any estimator that has predict"
            ) from error


def _fit(coalitions: EstimatorCoalitions, task: tuple[int | None, NDArray[np.bool_]]) -> float | str:
    return coalitions.fit(*task)


def finite(utility: Any) -> float:
    """Return a utility as a number; raise `InvalidDataError` if it is not finite."""
    number = float(utility)
    if not np.isfinite(number):
        raise InvalidDataError(f"the utility is {number}")
    return number


def line(error: Exception) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())
