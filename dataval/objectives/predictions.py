"""A model's outputs in the form in which scikit-learn's scorers ask for predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy, Loss, NamedLoss, resolve_loss

__all__ = ["as_classifier", "as_estimator", "is_classification"]

Array = NDArray[Any]


def as_estimator(outputs: Array, targets: Array, loss: Loss | None = None) -> BaseEstimator:
    """Return a fitted estimator that answers with these outputs, whatever it is asked about.

    Parameters
    ----------
    outputs : ndarray
        Logits of a classifier, or predictions.
    targets : ndarray
        Of the same samples.
    loss : str, NamedLoss or callable, optional
        Cross-entropies mean logits and squared errors predictions; otherwise integer targets mean logits.
    """
    if is_classification(targets.dtype, loss):
        return as_classifier(outputs)
    return _Regressor(outputs.reshape(targets.shape))


def as_classifier(outputs: Array) -> Any:
    """Return a fitted classifier that answers with these logits ``(n, C)``, or ``(n,)`` for two classes."""
    logits = outputs.reshape(len(outputs), -1)
    return _Classifier(_two_columns(logits) if logits.shape[1] == 1 else logits)


def is_classification(dtype: np.dtype[Any], loss: Loss | None) -> bool:
    """Whether a loss on targets of this dtype is a classifier's: by its name, or else by whole numbers."""
    resolved = None if loss is None else resolve_loss(loss)
    if isinstance(resolved, NamedLoss):
        return isinstance(resolved, CrossEntropy | BinaryCrossEntropy)
    return dtype.kind in "iub"


def _two_columns(logit: Array) -> Array:
    return np.concatenate([np.zeros_like(logit), logit], axis=1)


class _Classifier(ClassifierMixin, BaseEstimator):
    def __init__(self, logits: Array) -> None:
        self.logits = logits
        self.classes_ = np.arange(logits.shape[1])

    def predict(self, X: Array) -> Array:
        return np.asarray(self.logits.argmax(axis=1))

    def decision_function(self, X: Array) -> Array:
        return self.logits if self.logits.shape[1] > 2 else self.logits[:, 1] - self.logits[:, 0]

    def predict_proba(self, X: Array) -> Array:
        logits = self.logits.astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


class _Regressor(RegressorMixin, BaseEstimator):
    def __init__(self, predicted: Array) -> None:
        self.predicted = predicted

    def predict(self, X: Array) -> Array:
        return self.predicted
