r"""Semivalues: what a sample adds to a coalition of the others, averaged over coalitions by their sizes.

.. math:: \mathrm{value}_j = \sum_{S \not\ni j} \frac{q(|S|)}{\binom{N-1}{|S|}}\,[v(S \cup j) - v(S)]

with the probabilities q of the sizes 0 ... N - 1 (Dubey, Neyman & Weber 1981).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import comb
from scipy.stats import betabinom, binom

from dataval.methods.shapley.estimate import Estimate
from dataval.methods.shapley.game import FloatArray, Game, all_coalitions

__all__ = ["MOST_EXACT", "beta_sizes", "binomial_sizes", "check_exact", "exact_semivalue"]

MOST_EXACT = 16
"""The most samples whose coalitions are all trained on: 65,536 trainings."""


def beta_sizes(n: int, alpha: float, beta: float) -> FloatArray:
    """Return the probabilities of the sizes under Beta(alpha, beta): uniform, Shapley's, under (1, 1).

    A large `alpha` favours small coalitions, a large `beta` large ones, as Kwon & Zou (2022) have it.
    """
    return np.asarray(betabinom.pmf(np.arange(n), n - 1, beta, alpha), dtype=np.float64)


def binomial_sizes(n: int, probabilities: Sequence[float]) -> FloatArray:
    """Return those of coalitions that each sample joins with one of some probabilities; Banzhaf's for 1/2."""
    each = [binom.pmf(np.arange(n), n - 1, p) for p in probabilities]
    return np.asarray(np.mean(each, axis=0), dtype=np.float64)


def exact_semivalue(game: Game, sizes: FloatArray) -> Estimate:
    """Return the semivalue, from training on all coalitions as one program.

    Parameters
    ----------
    game : Game
        What trains.
    sizes : ndarray of float64, shape (N,)
        Probabilities of the sizes.
    """
    n, kept = game.n_samples, all_coalitions(game.n_samples)
    size = kept.sum(axis=1)
    share = np.append(sizes / comb(n - 1, np.arange(n)), 0.0)
    weights = np.where(kept, share[size - 1][:, None], -share[size][:, None])
    return Estimate(weights.T @ game.gains(kept), np.zeros(n))


def check_exact(n: int) -> None:
    """Raise `ValueError` if there are too many samples to train on all coalitions."""
    if n > MOST_EXACT:
        raise ValueError(
            f"method='exact' trains on all 2**N coalitions of the N = {n} samples, which is for N up to "
            f"{MOST_EXACT}: choose a method that samples them"
        )
