"""What models that have not seen a sample say of it, the best of a few kinds; no framework is needed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier, MLPRegressor

from dataval.progress import progress_bar

__all__ = ["held_out_logs", "held_out_numbers", "tempered"]

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_FOLDS = 5
_MOST_LINEAR = 20_000
_MOST_TREES = 400_000  # samples times classes that trees are fitted to
_MOST_NETWORK = 400_000  # entries that a network is fitted to: with more, it costs more than the other two
_FLOOR = 1e-5
_BOOSTING: dict[str, Any] = {
    "max_iter": 60,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 10,
    "l2_regularization": 1.0,
    "early_stopping": False,
}
_NETWORK: dict[str, Any] = {"hidden_layer_sizes": (64,), "alpha": 1e-2, "max_iter": 40}


def held_out_logs(X: npt.NDArray[np.float32], labels: Labels, seed: int) -> tuple[FloatArray, str]:
    """Return every sample's log-probabilities by the kind of model that predicts the labels best, and its name.

    Parameters
    ----------
    X : ndarray, shape (n, n_features)
        Standardised.
    labels : ndarray of int64, shape (n,)
        From 0 to C - 1.
    seed : int
        Draws the folds, and what models draw.

    Returns
    -------
    logs : ndarray of float64, shape (n, C)
    name : str
    """
    n_classes = int(labels.max()) + 1
    kinds: dict[str, tuple[Callable[[], Any], int]] = {
        "logistic regression": (lambda: LogisticRegression(max_iter=200), _MOST_LINEAR),
        "boosted trees": (
            lambda: HistGradientBoostingClassifier(random_state=seed, **_BOOSTING),
            max(_MOST_TREES // n_classes, 1000),
        ),
    }
    if X.size <= _MOST_NETWORK:
        kinds["a small network"] = (lambda: MLPClassifier(random_state=seed, **_NETWORK), len(X))

    def probabilities(model: Any, rows: npt.NDArray[np.float32]) -> FloatArray:
        found = np.full((len(rows), n_classes), _FLOOR)
        found[:, model.classes_] = model.predict_proba(rows)
        return np.asarray(np.log(np.maximum(found, _FLOOR)))

    logs = {
        name: tempered(found, labels)
        for name, found in _cross_validated(kinds, X, labels, seed, (n_classes,), probabilities)
    }
    best = max(logs, key=lambda name: float(np.mean(logs[name][np.arange(len(labels)), labels])))
    return logs[best], best


def held_out_numbers(X: npt.NDArray[np.float32], numbers: FloatArray, seed: int) -> tuple[FloatArray, str]:
    """Return every sample's prediction by the kind of model of the smallest absolute error, and its name."""
    kinds: dict[str, tuple[Callable[[], Any], int]] = {
        "ridge regression": (lambda: Ridge(alpha=1.0), len(X)),
        "boosted trees": (
            lambda: HistGradientBoostingRegressor(random_state=seed, loss="absolute_error", **_BOOSTING),
            _MOST_TREES,
        ),
    }
    if X.size <= _MOST_NETWORK:
        kinds["a small network"] = (lambda: MLPRegressor(random_state=seed, **_NETWORK), len(X))
    found = dict(_cross_validated(kinds, X, numbers, seed, (), lambda model, rows: model.predict(rows)))
    best = min(found, key=lambda name: float(np.median(np.abs(found[name] - numbers))))
    return found[best], best


def tempered(logs: FloatArray, labels: Labels) -> FloatArray:
    """Return log-probabilities divided by the temperature that makes the labels likeliest.

    Guo et al. (2017). On calibration of modern neural networks. ICML.
    """
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logs / np.exp(log_temperature), axis=1)[rows, labels].mean())

    found = minimize_scalar(loss, bounds=(-2.0, 3.0), method="bounded", options={"xatol": 0.01})
    return np.asarray(log_softmax(logs / np.exp(found.x), axis=1))


def _cross_validated(
    kinds: dict[str, tuple[Callable[[], Any], int]],
    X: npt.NDArray[np.float32],
    targets: npt.NDArray[Any],
    seed: int,
    shape: tuple[int, ...],
    predict: Callable[[Any, npt.NDArray[np.float32]], FloatArray],
) -> Iterator[tuple[str, FloatArray]]:
    """Yield the name of each kind of model, and what it says of every fold when fitted to the others."""
    folds = list(KFold(_FOLDS, shuffle=True, random_state=seed).split(X))
    rng = np.random.default_rng(seed)
    with progress_bar("models", _FOLDS * len(kinds), None) as bar:
        for name, (make, most) in kinds.items():
            found = np.empty((len(X), *shape))
            for train, test in folds:
                if len(train) > most:
                    train = np.sort(rng.permutation(train)[:most])
                found[test] = predict(_fitted(make(), X[train], targets[train]), X[test])
                bar.update()
            yield name, found


def _fitted(model: Any, X: npt.NDArray[np.float32], targets: npt.NDArray[Any]) -> Any:
    if targets.dtype.kind == "i" and len(np.unique(targets)) == 1:
        from sklearn.dummy import DummyClassifier

        model = DummyClassifier()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, targets)
