"""Scores of classes as probabilities, by the likelihood of the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

__all__ = ["Pool", "calibrated", "fit_pool", "like_spread", "of_labels", "one_hot"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]

_SHRINKAGE = 1e-3  # of the shifts, so that a class that is told apart fully has a finite one
_SMALLEST = 1e-6  # probability; nothing that a model says is surer than that
_ITERATIONS = 200


@dataclass(frozen=True)
class Pool:
    r"""Log-probabilities ``log_softmax(sum_k a_k scores_k + b)``.

    Attributes
    ----------
    shares : ndarray, shape (K,)
        a, not negative.
    shifts : ndarray, shape (C,)
        b.
    """

    shares: FloatArray
    shifts: FloatArray

    def __call__(self, scores: FloatArray) -> FloatArray:
        """Return the log-probabilities ``(N, C)`` of scores ``(K, N, C)``."""
        logits = np.tensordot(self.shares, scores, axes=1) + self.shifts
        return np.asarray(np.maximum(log_softmax(logits, axis=1), np.log(_SMALLEST)))


def fit_pool(
    scores: FloatArray, targets: FloatArray, *, start: Pool | None = None, iterations: int = _ITERATIONS
) -> Pool:
    r"""Return the pool of models under which labels that were held out are likeliest.

    Models that know different things share in the answer as far as they predict the labels; one model alone
    gets a temperature, and every class a shift.

    Genest & Zidek (1986). Combining probability distributions. Statistical Science 1.
    Guo, Pleiss, Sun & Weinberger (2017). On calibration of modern neural networks. ICML.

    Parameters
    ----------
    scores : ndarray, shape (K, N, C)
        Held-out scores or log-probabilities of K models, of like spread: those of a fit to the very labels
        would be taken at their word.
    targets : ndarray, shape (N, C)
        Labels one-hot, or the probability of each.
    start : Pool, optional
        Where the search begins.
    iterations : int
        Of L-BFGS, at most.
    """
    n_models, n, n_classes = scores.shape

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        shares, shifts = parameters[:n_models], parameters[n_models:]
        logs = log_softmax(np.tensordot(shares, scores, axes=1) + shifts, axis=1)
        errors = np.exp(logs) - targets
        slopes = np.tensordot(scores, errors, axes=([1, 2], [0, 1])) / n
        value = -(targets * logs).sum() / n + _SHRINKAGE * (shifts**2).sum()
        return float(value), np.concatenate([slopes, errors.mean(axis=0) + 2 * _SHRINKAGE * shifts])

    begin = start or Pool(np.full(n_models, 1.0 / n_models), np.zeros(n_classes))
    found = minimize(
        loss,
        np.concatenate([begin.shares, begin.shifts]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * n_models + [(None, None)] * n_classes,
        options={"maxiter": iterations},
    ).x
    return Pool(found[:n_models], found[n_models:])


def calibrated(scores: FloatArray, labels: Labels) -> FloatArray:
    """Return one model's held-out scores ``(N, C)`` as log-probabilities of the classes."""
    alike = like_spread(scores[None])
    return fit_pool(alike, one_hot(labels, scores.shape[1]))(alike)


def like_spread(scores: FloatArray) -> FloatArray:
    """Scale every model's scores ``(K, N, C)`` to standard deviation 1."""
    spread = np.maximum(scores.std(axis=(1, 2), keepdims=True), 1e-12)
    return np.asarray(scores / spread)


def one_hot(labels: Labels, n_classes: int) -> FloatArray:
    """Return labels as rows ``(N, C)`` that are 1 at the label."""
    return np.asarray(np.eye(n_classes)[labels])


def of_labels(table: FloatArray, labels: Labels) -> FloatArray:
    """Return every row's entry at its label, shape ``(N,)``."""
    return np.asarray(table[np.arange(len(labels)), labels])
