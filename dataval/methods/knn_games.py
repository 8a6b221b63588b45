r"""Shapley values of the games that neighbours play, in closed form.

Players come in the order of their distance, nearest first. A coalition S is worth what its k nearest members
give. If :math:`f_i` are what members give, and i and i + 1 change places, then S is worth something else only
where fewer than k members of S are nearer, so the difference of neighbours' values is a short sum. Where |S| is
drawn uniformly and then S, the number of members among the i - 1 nearer samples is uniform on 0 ... i - 1,
whence fewer than k of them are there with probability min(k, i) / i.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_values", "regression_values", "vote_values"]

FloatArray = NDArray[np.float64]


def vote_values(gains: FloatArray, k: int, chance: float | None = None) -> FloatArray:
    r"""Return the Shapley values of :math:`u(S) = \frac1k\sum_{i\le\min(k,|S|)} f_{\alpha_i(S)}`.

    Parameters
    ----------
    gains : ndarray of float64, shape (B, N)
        f, of the nearest first.
    k : int
        Number of neighbours.
    chance : float, optional
        Divide by the number of members that count, min(k, \|S\|), in place of k; nobody is worth `chance`.

    Returns
    -------
    ndarray of float64, shape (B, N)
    """
    n = gains.shape[1]
    ranks = np.arange(1, n)
    factors = np.minimum(k, ranks) / (ranks * k)
    last, rest = gains[:, -1], gains[:, :-1]
    most = min(k, n)
    if chance is None:
        farthest = last * most / (n * k)
    else:
        fewer = min(k, n - 1)
        if fewer:
            factors = factors + (_harmonic(fewer) - fewer / k) / (n - 1)
        others = rest.mean(axis=1) if n > 1 else np.zeros(len(gains))
        farthest = (last - chance + (last - others) * (_harmonic(most) - 1)) / n
    return _summed(-np.diff(gains, axis=1) * factors, farthest)


def regression_values(gains: FloatArray, targets: FloatArray, k: int) -> FloatArray:
    r"""Return the Shapley values of :math:`u(S) = -(\frac1k\sum_{i\le\min(k,|S|)} f_{\alpha_i(S)} - t)^2`.

    Parameters
    ----------
    gains : ndarray of float64, shape (B, N)
        f, of the nearest first.
    targets : ndarray of float64, shape (B,)
        t.
    k : int
        Number of neighbours.

    Returns
    -------
    ndarray of float64, shape (B, N)
    """
    n, t = gains.shape[1], targets[:, None]
    ranks = np.arange(1, n)
    near = np.minimum(k, ranks)
    pairs = _pairs(np.arange(1, n + 1), k)
    nearer = np.cumsum(gains, axis=1)[:, :-1] - gains[:, :-1]  # the sum of what those before i give
    farther = np.zeros_like(nearer)  # of those after i + 1, each times the chance that it counts
    if n > 2:
        weighted = gains[:, 2:] * pairs[1 : n - 1]
        farther[:, :-1] = np.cumsum(weighted[:, ::-1], axis=1)[:, ::-1]
    others = nearer * pairs[: n - 1] + farther
    both = (gains[:, :-1] + gains[:, 1:]) / k - 2 * t
    steps = np.diff(gains, axis=1) / k * (2 * others / k + both * near / ranks)
    last, most = gains[:, -1], min(k, n)
    mean = gains[:, :-1].mean(axis=1) if n > 1 else np.zeros(len(gains))
    farthest = -last / (k * n) * ((most * (most - 1) * mean + most * last) / k - 2 * most * targets)
    return _summed(steps, farthest)


def mean_values(gains: FloatArray, counts: NDArray[np.bool_], chance: float) -> FloatArray:
    r"""Return the Shapley values of the mean of f over the members that count; nobody is worth `chance`.

    Parameters
    ----------
    gains : ndarray of float64, shape (B, N)
        f.
    counts : ndarray of bool, shape (B, N)
        Who counts; the others have the value 0.
    chance : float
        The worth of nobody.

    Returns
    -------
    ndarray of float64, shape (B, N)
    """
    n = counts.sum(axis=1, keepdims=True)
    total = np.where(counts, gains, 0.0).sum(axis=1, keepdims=True)
    others = (total - gains) / np.maximum(n - 1, 1)
    harmonic = np.cumsum(1 / np.arange(1, gains.shape[1] + 1))[np.maximum(n, 1) - 1]
    values = (gains - chance + (gains - others) * (harmonic - 1)) / np.maximum(n, 1)
    return np.where(counts, values, 0.0)


def _pairs(ranks: NDArray[np.int64], k: int) -> FloatArray:
    """Return how likely one of the `ranks` - 1 nearer samples is a member, and fewer than k of them are."""
    near = np.minimum(k, ranks)
    return np.asarray(near * (near - 1) / (2.0 * ranks * np.maximum(ranks - 1, 1)))


def _harmonic(n: int) -> float:
    return float((1 / np.arange(1, n + 1)).sum())


def _summed(steps: FloatArray, farthest: FloatArray) -> FloatArray:
    """Return values from the farthest's, by how much each is above the next, ``(B, N - 1)``."""
    differences = np.concatenate([steps, farthest[:, None]], axis=1)
    return np.asarray(np.cumsum(differences[:, ::-1], axis=1)[:, ::-1])
