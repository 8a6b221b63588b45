"""What models that have not seen a sample say of it: a kernel, a linear model, and trees."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from dataval.labels.calibration import calibrated, one_hot
from dataval.labels.kernel import kernel_held_out

__all__ = ["folds_of", "held_out_logs", "held_out_numbers", "kernel_logs"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]

_FOLDS = 5
_TREES_FROM = 1500  # samples; with fewer, trees cost more than they tell beside the other two
_MOST_LINEAR = 20_000  # samples that a linear model is fitted to
_MOST_TREES = 200_000  # samples times classes that trees are fitted to
_FLOOR = 1e-4  # probability

BOOSTING: dict[str, Any] = {
    "max_iter": 40,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 10,
    "l2_regularization": 1.0,
    "early_stopping": False,
}


def held_out_logs(rows: FloatArray, labels: Labels, *, seed: int) -> FloatArray:
    """Return the log-probabilities ``(K, N, C)`` of every sample's classes by K models that haven't seen it.

    Parameters
    ----------
    rows : ndarray, shape (N, d)
        Standardised.
    labels : ndarray of int64, shape (N,)
        From 0 to C - 1, each of which occurs.
    seed : int
        Draws folds, landmarks and what trees draw.
    """
    n_classes = int(labels.max()) + 1
    folds = folds_of(labels, seed)
    found = [kernel_logs(rows, labels, seed=seed)]
    found.append(_cross_validated(_linear, rows, labels, folds, n_classes, _MOST_LINEAR, seed))
    if len(rows) >= _TREES_FROM:
        most = _MOST_TREES // n_classes
        found.append(_cross_validated(_trees, rows, labels, folds, n_classes, most, seed))
    return np.stack(found)


def kernel_logs(rows: FloatArray, labels: Labels, *, seed: int, landmarks: int | None = None) -> FloatArray:
    """Return leave-one-out log-probabilities ``(N, C)`` of kernel ridge regression."""
    n_classes = int(labels.max()) + 1
    found = kernel_held_out(rows, one_hot(labels, n_classes), seed=seed, landmarks=landmarks)
    return calibrated(found.predictions, labels)


def held_out_numbers(rows: FloatArray, targets: FloatArray, *, seed: int) -> FloatArray:
    """Return the predictions ``(K, N)`` of K models for samples that they haven't seen."""
    folds = folds_of(np.argsort(np.argsort(targets)) * 10 // len(targets), seed)
    found = [kernel_held_out(rows, targets[:, None], seed=seed).predictions[:, 0]]
    for make in (_ridge, _regression_trees):
        predictions = np.empty(len(rows))
        for train, test in _splits(folds, len(rows), seed):
            predictions[test] = make(seed).fit(rows[train], targets[train]).predict(rows[test])
        found.append(predictions)
    return np.stack(found)


def folds_of(labels: Labels, seed: int) -> NDArray[np.int64]:
    """Return the number of every sample's fold; each class is spread over all of them evenly."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % _FOLDS
    return folds


def _splits(
    folds: NDArray[np.int64], most: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, for every fold, at most so many of the other samples, and its own."""
    rng = np.random.default_rng(seed)
    for fold in range(_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(train) > most:
            train = np.sort(rng.permutation(train)[:most])
        if len(test):
            yield train, test


def _cross_validated(
    make: Callable[[int], Any],
    rows: FloatArray,
    labels: Labels,
    folds: NDArray[np.int64],
    n_classes: int,
    most: int,
    seed: int,
) -> FloatArray:
    found = np.full((len(rows), n_classes), _FLOOR)
    for train, test in _splits(folds, most, seed):
        present = np.unique(labels[train])
        if len(present) == 1:
            found[test, present[0]] = 1.0
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make(seed).fit(rows[train], labels[train])
        found[np.ix_(test, model.classes_)] = model.predict_proba(rows[test])
    return np.asarray(np.log(np.maximum(found, _FLOOR)))


def _linear(seed: int) -> Any:
    return LogisticRegression(max_iter=200)


def _trees(seed: int) -> Any:
    return HistGradientBoostingClassifier(random_state=seed, **BOOSTING)


def _ridge(seed: int) -> Any:
    return Ridge(alpha=1.0)


def _regression_trees(seed: int) -> Any:
    return HistGradientBoostingRegressor(random_state=seed, loss="absolute_error", **BOOSTING)
