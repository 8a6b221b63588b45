r"""How labels err: a matrix T, with :math:`T_{cd}` the share of class c that is labelled d.

Models that were trained on labels with errors predict those, errors and all:
:math:`q(\tilde y = d\mid x) = \sum_c p(c\mid x)\,T_{cd}`. Expectation and maximisation find both: p, a pool of
the models' held-out scores that may be as sure as it likes, and T, which takes up what labels deviate from it
where it is sure. A wrong label is then one whose posterior :math:`P(y=c\mid\tilde y,x)\propto p(c\mid
x)\,T_{c\tilde y}` lies elsewhere.

Dawid & Skene (1979). Maximum likelihood estimation of observer error-rates using the EM algorithm. JRSS C 28.
Patrini, Rozza, Menon, Nock & Qu (2017). Making deep neural networks robust to label noise. CVPR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from dataval.labels.calibration import Pool, fit_pool, like_spread, of_labels, one_hot

__all__ = ["NoiseModel", "fit_noise", "log_odds_wrong", "posterior", "smoothed", "symmetric"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.int64]

_START = 0.1  # share of wrong labels that the search begins with
_STEPS = 40
_TINY = float(np.finfo(float).tiny)
_SETTLED = 1e-4  # largest change of the matrix
_MOST = 5000  # samples that pool and matrix are fitted to
_ROW_STRENGTH = 20.0  # during the search, where a stronger belief would only find itself again
_ROW_STRENGTHS = (
    10.0,
    30.0,
    100.0,
    300.0,
    1000.0,
    3000.0,
)  # labels' worth of belief that all classes err alike
_CONCENTRATIONS = (0.5, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)


@dataclass(frozen=True)
class NoiseModel:
    """What the labels would be without errors, and how they err.

    Attributes
    ----------
    transition : ndarray, shape (C, C)
        T; rows sum to 1.
    clean : ndarray, shape (N, C)
        p, the probability of each class before the given label is looked at.
    given : ndarray, shape (N, C)
        q, the same pool's probability of each label, errors and all.
    """

    transition: FloatArray
    clean: FloatArray
    given: FloatArray

    def posterior(self, labels: Labels) -> FloatArray:
        """Return the probability ``(N, C)`` of each class given the sample's label."""
        return posterior(self.clean, self.transition, labels)

    def log_odds_wrong(self, labels: Labels) -> FloatArray:
        """Return the log-odds ``(N,)`` that the label is wrong, for an order: the mean of those under p and q.

        p is as sure as the errors allow, and so finds more where they go from class to class; q is fitted to
        the labels directly, and so orders better where they don't.
        """
        both = (log_odds_wrong(each, self.transition, labels) for each in (self.clean, self.given))
        return np.asarray(sum(both) / 2.0)


def log_odds_wrong(probabilities: FloatArray, transition: FloatArray, labels: Labels) -> FloatArray:
    """Return the finite log-odds ``(N,)`` that labels are wrong, given probabilities ``(N, C)`` of classes."""
    joint = probabilities * transition[:, labels].T
    right = of_labels(joint, labels).copy()
    joint[np.arange(len(labels)), labels] = 0.0
    return np.asarray(np.log(np.maximum(joint.sum(axis=1), _TINY)) - np.log(np.maximum(right, _TINY)))


def posterior(probabilities: FloatArray, transition: FloatArray, labels: Labels) -> FloatArray:
    """Return the probability ``(N, C)`` of each class given the label, and what it was before."""
    joint = probabilities * transition[:, labels].T
    return np.asarray(joint / joint.sum(axis=1, keepdims=True))


def fit_noise(scores: FloatArray, labels: Labels, *, seed: int = 0) -> NoiseModel:
    """Fit a noise model to what K models say of every sample without it.

    Parameters
    ----------
    scores : ndarray, shape (K, N, C)
        Held-out log-probabilities.
    labels : ndarray of int64, shape (N,)
        Each class occurs.
    seed : int
        Draws the samples that are fitted to, where there are more than 5,000.
    """
    alike = like_spread(scores)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:_MOST])
    of_given, pool, transition = _fitted(alike[:, chosen], labels[chosen])
    return NoiseModel(transition, np.exp(pool(alike)), np.exp(of_given(alike)))


def _fitted(scores: FloatArray, labels: Labels) -> tuple[Pool, Pool, FloatArray]:
    n_classes = scores.shape[2]
    given = one_hot(labels, n_classes)
    transition = symmetric(n_classes, _START)
    of_given = pool = fit_pool(scores, given)
    for _ in range(_STEPS):
        classes = posterior(np.exp(pool(scores)), transition, labels)
        before, transition = transition, smoothed(classes.T @ given, _ROW_STRENGTH)
        pool = fit_pool(scores, classes, start=pool, iterations=5)
        if np.abs(transition - before).max() < _SETTLED:
            break
    classes = posterior(np.exp(pool(scores)), transition, labels)
    return of_given, pool, smoothed(classes.T @ given)


def symmetric(n_classes: int, share: float) -> FloatArray:
    """Return the matrix under which a share of the labels is wrong, every other class equally likely."""
    found = np.full((n_classes, n_classes), share / (n_classes - 1))
    np.fill_diagonal(found, 1.0 - share)
    return found


def smoothed(counts: FloatArray, row_strength: float | None = None) -> FloatArray:
    """Return the matrix that counts ``(C, C)`` of true and given labels speak for.

    That all classes err equally often, and equally often towards each other, is believed to the degree to which
    the counts themselves say so (empirical Bayes): symmetric noise is taken as such, and noise that goes from
    class to class as it was counted.

    Parameters
    ----------
    counts : ndarray, shape (C, C)
        Row of the true class, column of the label.
    row_strength : float, optional
        Labels' worth of belief that classes err equally often; by default what the counts say.
    """
    n_classes = len(counts)
    off = counts.copy()
    np.fill_diagonal(off, 0.0)
    totals, wrong = counts.sum(axis=1), off.sum(axis=1)
    share = wrong.sum() / totals.sum()
    belief = _row_strength(wrong, totals, share) if row_strength is None else row_strength
    shares = (wrong + belief * share) / (totals + belief)
    strength = _concentration(off)
    ways = off + strength / (n_classes - 1)
    np.fill_diagonal(ways, 0.0)
    found = shares[:, None] * ways / ways.sum(axis=1, keepdims=True)
    np.fill_diagonal(found, 1.0 - shares)
    return np.asarray(found)


def _row_strength(wrong: FloatArray, totals: FloatArray, share: float) -> float:
    """Return the strength of a Beta prior round the common share under which the counts are likeliest."""

    def evidence(strength: float) -> float:
        first, second = max(strength * share, 1e-9), max(strength * (1.0 - share), 1e-9)
        return float((betaln(wrong + first, totals - wrong + second) - betaln(first, second)).sum())

    return max(_ROW_STRENGTHS, key=evidence)


def _concentration(off: FloatArray) -> float:
    """Return the Dirichlet concentration under which the counts off the diagonal are likeliest.

    Minka (2000). Estimating a Dirichlet distribution. Technical report, MIT.
    """
    n_classes = len(off)
    if n_classes == 2:
        return 1.0
    apart = ~np.eye(n_classes, dtype=bool)

    def evidence(strength: float) -> float:
        each = strength / (n_classes - 1)
        rows = gammaln(strength) - gammaln(off.sum(axis=1) + strength)
        return float(rows.sum() + (gammaln(off[apart] + each) - gammaln(each)).sum())

    return max(_CONCENTRATIONS, key=evidence)
