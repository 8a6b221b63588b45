"""Fitting estimators of scikit-learn again and again, each time without some samples."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.metrics import check_scoring, get_scorer_names, mean_squared_error
from sklearn.utils import indexable

from dataval.checks import described
from dataval.errors import InvalidDataError, RetrainingWarning
from dataval.progress import progress_bar
from dataval.retraining.again import FloatArray, Mask, Retraining, RetrainingOptions, Utilities
from dataval.retraining.estimator_coalitions import EstimatorCoalitions, Rows, Scorer, finite, line
from dataval.retraining.random_states import fixed, random_states
from dataval.retraining.workers import carry_out
from dataval.training.learner import Learner
from dataval.training.replay import Replay

__all__ = ["EstimatorRetraining", "is_estimator"]

_NAMED = 5  # samples that a warning names


def is_estimator(model: object) -> bool:
    """Whether this is a classifier or regressor of scikit-learn (a `Learner` is not)."""
    return (
        isinstance(model, BaseEstimator)
        and not isinstance(model, Learner)
        and bool(is_classifier(model) or is_regressor(model))
    )


class EstimatorRetraining(Retraining):
    """An estimator of scikit-learn, which is fitted anew.

    Inputs may be whatever the estimator takes: arrays, data frames, sparse matrices, lists of texts.

    Parameters
    ----------
    estimator : estimator
        It is cloned, never fitted itself.
    X, y
        Training data.

    Raises
    ------
    InvalidDataError
        If X and y differ in length, targets are missing, or there are fewer than two samples.
    """

    def __init__(self, estimator: Any, X: Any, y: Any) -> None:
        self._estimator, self._data = estimator, _checked(X, y, "training")
        self._name = type(estimator).__name__
        self.n_samples = _length(self._data.y)
        if self.n_samples < 2:
            raise InvalidDataError("leaving samples out needs at least two training samples")

    def check(self, removed: Mask, options: RetrainingOptions) -> None:
        """Raise if an option is for learners alone, or there is nothing that seeds could seed."""
        if options.objective is not None:
            raise TypeError(
                "objective is a function of a network's outputs: for an estimator of scikit-learn pass "
                "utility=(estimator, X, y) -> number"
            )
        if options.group_size is not None:
            raise TypeError("group_size is for learners: estimators of scikit-learn are fitted one by one")
        if options.folder is not None:
            raise TypeError(
                "folder keeps the runs of learners: the fits of an estimator are not kept, leave it out"
            )
        if options.seeds is not None and not random_states(self._estimator):
            raise ValueError(f"{self._name} has no random_state that seeds could set: leave seeds out")
        _scorer(self._estimator, options.utility)

    def validation(self, X: Any, y: Any) -> Rows:
        """Return validation samples, checked as far as they can be without a fit."""
        data = _checked(X, y, "validation")
        given, known = getattr(data.X, "shape", ()), getattr(self._data.X, "shape", ())
        if given[1:] != known[1:]:
            raise InvalidDataError(f"the validation X has shape {given}, the training X {known}")
        if is_classifier(self._estimator):
            _check_labels(np.asarray(data.y), np.asarray(self._data.y))
        return data

    def utilities(self, removed: Mask, validation: Rows, options: RetrainingOptions) -> Utilities:
        """Fit on everything and without each of M removals, for every seed; judge the fits.

        A removal whose fit fails for some seed is NaN for that seed, and a `RetrainingWarning` names it.

        Raises
        ------
        InvalidDataError
            If the fit on everything can't be had or judged, or none without a removal.
        """
        self.check(removed, options)
        seeds = (None,) if options.seeds is None else options.seeds
        scorer = _scorer(self._estimator, options.utility)
        everything = [self._on_everything(seed, scorer, validation) for seed in seeds]
        without = self._without(removed, seeds, scorer, validation, options.n_jobs)
        return Utilities(np.column_stack([everything, without]), options.utility != "loss")

    def single_losses(self, removed: Mask, validation: Rows, options: RetrainingOptions) -> FloatArray:
        """Raise `TypeError`: an estimator's losses are not taken one by one."""
        raise TypeError("only score is there for estimators of scikit-learn: the rest needs a Learner")

    def coalitions(
        self, validation: Rows, options: RetrainingOptions, *, single: bool = False
    ) -> EstimatorCoalitions:
        """Return what fits on coalitions of samples, once the fit on everything was found to be possible."""
        if single:
            self.replay()
        scorer = _scorer(self._estimator, options.utility)
        seeds = (None,) if options.seeds is None else options.seeds
        self._on_everything(seeds[0], scorer, validation)
        return EstimatorCoalitions(
            self._estimator,
            self._data,
            validation,
            scorer,
            seeds=seeds,
            n_jobs=options.n_jobs,
            is_loss=options.utility == "loss",
        )

    def replay(self) -> Replay:
        """Raise `TypeError`: an estimator has no run."""
        raise TypeError("only score is there for estimators of scikit-learn: the rest needs a Learner")

    def _on_everything(self, seed: int | None, scorer: Scorer, validation: Rows) -> float:
        try:
            estimator = fixed(self._estimator, seed).fit(*self._data)
        except (TypeError, ValueError) as error:
            raise InvalidDataError(
                f"{self._name} can't be fitted on the training samples: {line(error)}"
            ) from error
        try:
            utility = float(scorer(estimator, *validation))
        except InvalidDataError:
            raise
        except Exception as error:
            raise InvalidDataError(
                f"{self._name} or the utility failed on the validation samples: {line(error)}"
            ) from error
        if not np.isfinite(utility):
            raise InvalidDataError(
                f"the utility of the estimator fitted on all samples is {utility}: check its predictions on "
                "the validation samples, and the scorer"
            )
        return utility

    def _without(
        self,
        removed: Mask,
        seeds: tuple[int | None, ...],
        scorer: Scorer,
        validation: Rows,
        n_jobs: int | None,
    ) -> FloatArray:
        """Return the utilities of the fits without samples, shape (n_seeds, M)."""
        tasks = [(seed, row) for seed in seeds for row in removed]
        found: list[float | str] = [np.nan] * len(tasks)
        with progress_bar("fitting", len(tasks), None) as bar:
            parts = [(seed, np.flatnonzero(row)) for seed, row in tasks]
            for number, one in carry_out(_fit, (self, scorer, validation), parts, n_jobs):
                found[number] = one
                bar.update()
        self._report({i: problem for i, problem in enumerate(found) if isinstance(problem, str)}, tasks)
        numbers = [np.nan if isinstance(one, str) else one for one in found]
        return np.reshape(numbers, (len(seeds), len(removed)))

    def fit(self, seed: int | None, removed: NDArray[np.intp], scorer: Scorer, validation: Rows) -> float | str:
        """Return the utility of one fit without some samples, or why there is none."""
        try:
            kept = np.setdiff1d(np.arange(self.n_samples), removed)
            estimator = fixed(self._estimator, seed).fit(*self._data.take(kept))
            return finite(scorer(estimator, *validation))
        except Exception as error:  # noqa: BLE001 - reported with the sample; the other fits are not lost
            return f"{type(error).__name__}: {line(error)}"

    def _report(self, problems: dict[int, str], tasks: list[tuple[int | None, NDArray[np.bool_]]]) -> None:
        if not problems:
            return
        named = [
            f"without {', '.join(map(str, np.flatnonzero(tasks[i][1])))}: {problem}"
            for i, problem in list(problems.items())[:_NAMED]
        ]
        more = ["..."] if len(problems) > _NAMED else []
        text = f"{len(problems)} of {len(tasks)} fits of {self._name} failed; {'; '.join([*named, *more])}"
        if len(problems) == len(tasks):
            raise InvalidDataError(text)
        warnings.warn(f"{text}. The values of these samples are NaN", RetrainingWarning, stacklevel=6)


def _fit(
    shared: tuple[EstimatorRetraining, Scorer, Rows], task: tuple[int | None, NDArray[np.intp]]
) -> float | str:
    retraining, scorer, validation = shared
    return retraining.fit(*task, scorer, validation)


def _checked(X: Any, y: Any, what: str) -> Rows:
    """Return samples that can be indexed: sparse matrices by rows, data frames as they are."""
    if y is None:
        raise InvalidDataError(
            f"the {what} y must be given, got None: an estimator of scikit-learn takes inputs and targets "
            "apart, as arrays"
        )
    for name, given in (("X", X), ("y", y)):
        if given is None or (not hasattr(given, "__len__") and not hasattr(given, "shape")):
            raise InvalidDataError(
                f"the {what} {name} must be an array, a data frame or a list, got {described(given)}"
            )
    try:
        data = Rows(*indexable(X, y))
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"the {what} X and y don't fit each other: {line(error)}") from error
    if _length(data.y) == 0:
        raise InvalidDataError(f"the {what} set is empty")
    try:
        targets = np.asarray(data.y)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"the {what} y can't be read as an array: {line(error)}") from error
    _check_targets(targets, what)
    return data


def _length(y: Any) -> int:
    return int(y.shape[0]) if hasattr(y, "shape") else len(y)


def _check_targets(y: NDArray[Any], what: str) -> None:
    """Raise if a target is missing (NaN, infinite, None), or is a complex number."""
    if y.dtype.kind == "c":
        raise InvalidDataError(f"the {what} y has dtype {y.dtype}: pass real numbers, or labels")
    if y.dtype.kind not in "fO":
        return
    flat = y.reshape(len(y), -1)
    missing = [i for i, row in enumerate(flat.tolist()) if any(map(_is_missing, row))]
    if missing:
        raise InvalidDataError(
            f"the {what} y contains NaN, infinity or nothing, first at sample {missing[0]}: drop such samples"
        )


def _is_missing(target: Any) -> bool:
    """Whether a target is None, or a number that is not finite."""
    return target is None or target != target or target in (np.inf, -np.inf)


def _check_labels(given: NDArray[Any], known: NDArray[Any]) -> None:
    """Raise if a validation label was never seen in training, or is of another kind."""
    if given.shape[1:] != known.shape[1:]:
        raise InvalidDataError(f"the validation y has shape {given.shape}, the training y {known.shape}")
    if known.ndim > 1:
        return
    labels = {*known.tolist()}
    unseen = [(i, label) for i, label in enumerate(given.tolist()) if label not in labels]
    if unseen:
        raise InvalidDataError(
            f"the validation label {unseen[0][1]!r} of sample {unseen[0][0]} never occurs in training, where "
            f"labels are {described(sorted(labels, key=str))}"
        )


def _scorer(estimator: Any, utility: str | Scorer) -> Scorer:
    """Return what judges a fit.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if utility == "loss":
        return _loss
    if isinstance(utility, str) and utility not in get_scorer_names():
        raise ValueError(
            f"unknown utility {utility!r}: choose 'loss', one of sklearn.metrics.get_scorer_names(), or pass a "
            "function (estimator, X, y) -> number"
        )
    scorer: Scorer = check_scoring(estimator, utility)
    return scorer


def _loss(estimator: Any, X: Any, y: Any) -> float:
    """Log loss of a classifier's probabilities, mean squared error of a regressor's predictions.

    A class that was left out with its only sample has probability 0, clipped as by `sklearn.metrics.log_loss`.
    """
    if is_regressor(estimator):
        return float(mean_squared_error(y, estimator.predict(X)))
    if not hasattr(estimator, "predict_proba") or np.ndim(y) != 1:
        what = "gives no probabilities" if np.ndim(y) == 1 else "has several targets"
        raise InvalidDataError(
            f"{type(estimator).__name__} {what}, so it has no loss: choose another utility, such as 'accuracy'"
        )
    probabilities, classes = estimator.predict_proba(X), estimator.classes_.tolist()
    columns = np.array([classes.index(label) if label in classes else -1 for label in np.asarray(y).tolist()])
    given = np.where(columns < 0, 0.0, probabilities[np.arange(len(columns)), columns])
    return float(-np.log(np.maximum(given, np.finfo(np.float64).eps)).mean())
