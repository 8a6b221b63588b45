"""What is concluded of every label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from dataval.detection.experts import held_out_logs, held_out_numbers
from dataval.labels.calibration import of_labels
from dataval.labels.residuals import combined, probability_outlying, spread
from dataval.labels.transition import NoiseModel, fit_noise

__all__ = ["Verdict", "of_classes", "of_model", "of_numbers", "of_several", "with_network"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Verdict:
    """Of N samples.

    Attributes
    ----------
    values : ndarray of float64, shape (N,)
        Higher is a better label.
    probability_wrong : ndarray of float64, shape (N,) or (N, L)
    suggested : ndarray, shape (N,) or (N, L)
        Numbers of classes, or what a regression predicts.
    probabilities : ndarray of float64, shape (N, C) or (N, L, 2), or None
        Of each class, given the sample and its label.
    transition : ndarray of float64, shape (C, C) or (L, 2, 2), or None
    """

    values: FloatArray
    probability_wrong: FloatArray
    suggested: NDArray[Any]
    probabilities: FloatArray | None = None
    transition: FloatArray | None = None


def of_classes(rows: FloatArray, labels: Labels, seed: int) -> Verdict:
    """Judge labels by models that are held out, on standardised rows ``(N, d)``."""
    return of_model(fit_noise(held_out_logs(rows, labels, seed=seed), labels, seed=seed), labels)


def of_model(model: NoiseModel, labels: Labels) -> Verdict:
    """Judge labels by what they would be without errors, and how they err."""
    posterior = model.posterior(labels)
    return Verdict(
        values=-model.log_odds_wrong(labels),
        probability_wrong=1.0 - of_labels(posterior, labels),
        suggested=posterior.argmax(axis=1),
        probabilities=posterior,
        transition=model.transition,
    )


def of_several(rows: FloatArray, labels: Labels, seed: int) -> Verdict:
    """Judge labels ``(N, L)`` that are each there (1) or not; a sample is as good as its worst label."""
    found = [_of_column(rows, column, seed) for column in labels.T]
    return Verdict(
        values=np.min([each.values for each in found], axis=0),
        probability_wrong=np.stack([each.probability_wrong for each in found], axis=1),
        suggested=np.stack([each.suggested for each in found], axis=1),
        probabilities=np.stack(
            [each.probabilities for each in found if each.probabilities is not None], axis=1
        ),
        transition=np.stack([each.transition for each in found if each.transition is not None]),
    )


def _of_column(rows: FloatArray, labels: Labels, seed: int) -> Verdict:
    """Judge one of several labels; one that all samples have, or none, says nothing and is believed."""
    if labels.min() != labels.max():
        return of_classes(rows, labels, seed)
    n = len(labels)
    sure = np.tile(np.eye(2)[labels[0]], (n, 1))
    return Verdict(np.full(n, np.inf), np.zeros(n), labels, sure, np.eye(2))


def of_numbers(rows: FloatArray, targets: FloatArray, seed: int) -> Verdict:
    """Judge numbers ``(N,)`` by how far they lie from what models predict that are held out."""
    predictions = combined(held_out_numbers(rows, targets, seed=seed), targets)
    residuals = targets - predictions
    scale = max(float(spread(residuals[:, None])[0]), float(np.finfo(float).tiny))
    return Verdict(
        values=-np.abs(residuals) / scale,
        probability_wrong=probability_outlying(residuals, targets),
        suggested=predictions,
    )


def with_network(verdict: Verdict, suspicion: FloatArray) -> Verdict:
    """Let what a network found suspicious while it learned share in the order of the samples.

    Both are scaled by median and interquartile range, and added. The number of labels that are likely wrong
    stays what the held-out models say; which ones, the new order does: the probability is the monotone
    function of it that comes closest to theirs.
    """
    values = _scaled(verdict.values) - _scaled(suspicion)
    own = verdict.probability_wrong
    rising = IsotonicRegression(increasing=False, y_min=0.0, y_max=1.0)
    return Verdict(
        values=values,
        probability_wrong=np.asarray(rising.fit_transform(values, own), dtype=np.float64),
        suggested=verdict.suggested,
        probabilities=verdict.probabilities,
        transition=verdict.transition,
    )


def _scaled(values: FloatArray) -> FloatArray:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return np.asarray((values - middle) / max(float(high - low), 1e-12))
