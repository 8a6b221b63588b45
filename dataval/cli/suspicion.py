"""How wrong each sample's label looks, and what models that have not seen it would say instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from scipy.stats import norm

from dataval.cli.held_out import held_out_logs, held_out_numbers
from dataval.cli.samples import Samples

__all__ = ["Suspicion", "of_logs", "of_numbers", "suspicion"]

FloatArray = npt.NDArray[np.float64]

_STEPS = 50
_FEW = 0.05
_PRIOR = 20.0
_MAD = 0.6745  # of a normal distribution with standard deviation 1


@dataclass(frozen=True, eq=False)
class Suspicion:
    """What is thought of the labels of n samples.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        The lower, the more a label looks wrong.
    probability_wrong : ndarray of float64, shape (n,)
    outputs : ndarray of float64, shape (n, n_classes) or (n,)
        Probability of each class; or the number that is predicted, in the labels' unit.
    by : str
        What found it.
    """

    values: FloatArray
    probability_wrong: FloatArray
    outputs: FloatArray
    by: str


def suspicion(samples: Samples, seed: int) -> Suspicion:
    """Judge the labels of a table's samples.

    The model is the one of logistic regression, boosted trees and, for small tables, a network under which the
    labels that it has not seen are likeliest (five folds); for numbers the one of the smallest error.

    Parameters
    ----------
    samples : Samples
        Of features (n, n_features).
    seed : int
        Draws folds and models.
    """
    X = samples.X.reshape(len(samples.X), -1)
    if samples.classes:
        return of_logs(*held_out_logs(X, samples.y, seed), samples)  # type: ignore[arg-type]
    found, by = held_out_numbers(X, samples.y[:, 0].astype(np.float64), seed)
    return of_numbers(found, by, samples)


def of_logs(logs: FloatArray, by: str, samples: Samples, values: FloatArray | None = None) -> Suspicion:
    """Return what log-probabilities (n, n_classes) of models that have not seen the samples say.

    Values, unless given, are the log-odds of the label against the likeliest other class.
    """
    labels = samples.y.astype(np.int64)
    rows = np.arange(len(logs))
    sharpened, share = _without_noise(logs, labels)
    own = sharpened[rows, labels]
    others = sharpened.copy()
    others[rows, labels] = -np.inf
    margin = own - others.max(axis=1)
    elsewhere = share / (logs.shape[1] - 1) * (1.0 - np.exp(own))
    wrong = elsewhere / (elsewhere + (1.0 - share) * np.exp(own))
    return Suspicion(margin if values is None else values, wrong, np.exp(sharpened), by)


def _without_noise(logs: FloatArray, labels: npt.NDArray[np.int64]) -> tuple[FloatArray, float]:
    """Return log-probabilities of the true classes, and the share of the labels that are wrong.

    A label is the true class but for that share, which is one of the others: temperature and share are those
    under which the labels are likeliest, with a prior of twenty labels that are right.
    """
    rows, n, n_others = np.arange(len(labels)), len(labels), logs.shape[1] - 1

    def loss(parameters: FloatArray) -> float:
        share = expit(parameters[1])
        own = np.exp(log_softmax(logs / np.exp(parameters[0]), axis=1)[rows, labels])
        likelihood = (1.0 - share) * own + share / n_others * (1.0 - own)
        return -float(np.log(likelihood + 1e-12).sum() + _PRIOR * np.log1p(-share)) / n

    bounds = [(-3.0, 3.0), (-10.0, 0.0)]
    starts = [np.array([0.0, start]) for start in (-6.0, -2.0)]
    found = min(
        (minimize(loss, start, bounds=bounds, method="L-BFGS-B") for start in starts), key=lambda f: f.fun
    )
    return np.asarray(log_softmax(logs / np.exp(found.x[0]), axis=1)), float(expit(found.x[1]))


def of_numbers(predicted: FloatArray, by: str, samples: Samples, values: FloatArray | None = None) -> Suspicion:
    """Return what predictions (n,), standardised as the targets are, say of these.

    Values, unless given, are minus the absolute error in its median absolute deviations.
    """
    targets = samples.targets
    residuals = targets.y[:, 0] - predicted
    scale = max(float(np.median(np.abs(residuals))) / _MAD, 1e-12)
    return Suspicion(
        -np.abs(residuals) / scale if values is None else values,
        _outlying(residuals, scale),
        predicted * targets.scale + targets.center,
        by,
    )


def _outlying(residuals: FloatArray, scale: float) -> FloatArray:
    """Return the probability that an error is none of prediction: of a mixture of two normal distributions.

    The one has the width of most errors, the other that of two labels that have nothing to do with each other;
    how many belong to the second is found by expectation and maximisation.
    """
    near, far = (
        norm.logpdf(residuals, scale=scale),
        norm.logpdf(residuals, scale=max(np.sqrt(2.0), 3.0 * scale)),
    )
    share = _FEW
    wrong = np.zeros(len(residuals))
    for _ in range(_STEPS):
        wrong = 1.0 / (1.0 + np.exp(np.clip(near - far, -700, 700)) * (1.0 - share) / share)
        share = float(np.clip(wrong.mean(), 1e-6, 0.5))
    return wrong
