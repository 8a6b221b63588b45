"""How far numbers lie from their predictions, where some of them are wrong altogether."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import cauchy, norm
from scipy.stats import t as student

__all__ = ["combined", "log_densities", "probability_outlying", "spread"]

FloatArray = NDArray[np.float64]

_FREEDOM = 4.0
_STEPS = 50
_BEYOND = 0.1
_FREEDOMS = (2.5, 4.0, 8.0, 30.0)
_PRIOR = (0.0, 20.0)  # wrong and right samples' worth of belief that hardly any is wrong


def log_densities(residuals: FloatArray) -> FloatArray:
    """Return the log-density of every residual under a Student distribution of its column's spread.

    Parameters
    ----------
    residuals : ndarray, shape (N, outputs)
        Targets less predictions.
    """
    return np.asarray(student.logpdf(residuals, _FREEDOM, scale=spread(residuals)))


def spread(residuals: FloatArray) -> FloatArray:
    """Return the scale of every column, by the likelihood of a Student distribution (four degrees of freedom).

    Lange, Little & Taylor (1989). Robust statistical modeling using the t distribution. JASA 84.
    """
    squares = residuals**2
    scale = np.maximum(np.median(squares, axis=0) * 2.0, np.finfo(float).tiny)
    for _ in range(_STEPS):
        weights = (_FREEDOM + 1.0) / (_FREEDOM + squares / scale)
        scale = np.maximum((weights * squares).mean(axis=0), np.finfo(float).tiny)
    return np.asarray(np.sqrt(scale))


def combined(predictions: FloatArray, targets: FloatArray) -> FloatArray:
    """Return a mean ``(N,)`` of K models' predictions ``(K, N)``, in which those of little spread weigh more.

    Models that are far behind the best have next to no share.
    """
    spreads = np.maximum(spread((predictions - targets).T), np.finfo(float).tiny)
    weights = (spreads.min() / spreads) ** 4
    return np.asarray(weights @ predictions / weights.sum())


def probability_outlying(residuals: FloatArray, targets: FloatArray) -> FloatArray:
    r"""Return the probability ``(N,)`` that a number has nothing to do with its prediction.

    Residuals are a mixture: of a Student distribution, as heavy in its tails as their bulk says, and for a
    share :math:`\pi` of the samples of how far a number drawn from all of them would lie from the prediction, a
    tenth of these with the tails of a Cauchy distribution, so that a number beyond all others is not taken for
    a right one. Share, scale and degrees of freedom are the likeliest ones.

    Parameters
    ----------
    residuals, targets : ndarray, shape (N,)
        Targets less predictions, and targets.
    """
    wide = np.sqrt(2.0) * np.maximum(np.std(targets), np.finfo(float).tiny)
    elsewhere = np.logaddexp(
        norm.logpdf(residuals, scale=wide) + np.log1p(-_BEYOND),
        cauchy.logpdf(residuals, scale=wide) + np.log(_BEYOND),
    )
    found = [_mixture(residuals, elsewhere, freedom) for freedom in _FREEDOMS]
    return max(found, key=lambda each: each[1])[0]


def _mixture(residuals: FloatArray, elsewhere: FloatArray, freedom: float) -> tuple[FloatArray, float]:
    """Return the posterior of lying elsewhere, by expectation and maximisation, and its log-likelihood."""
    squares = residuals**2
    scale = max(float(np.median(squares)) * 2.0, float(np.finfo(float).tiny))
    share, n = 0.05, len(residuals)
    for _ in range(_STEPS):
        near = student.logpdf(residuals, freedom, scale=np.sqrt(scale)) + np.log1p(-share)
        far = elsewhere + np.log(share)
        total = np.logaddexp(near, far)
        wrong = np.exp(far - total)
        weights = (1.0 - wrong) * (freedom + 1.0) / (freedom + squares / scale)
        scale = max(float((weights * squares).sum() / (1.0 - wrong).sum()), float(np.finfo(float).tiny))
        share = float(np.clip((wrong.sum() + _PRIOR[0]) / (n + sum(_PRIOR)), 1e-6, 0.5))
    return np.asarray(wrong), float(total.sum())
