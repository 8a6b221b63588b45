"""The least core: what each player has to get so that no coalition would rather be on its own."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog, nnls
from scipy.special import betaincinv

from dataval.methods.shapley.game import FloatArray, Mask

__all__ = ["least_core", "violation_bound"]

_SLACK = 1e-9
_ITERATIONS = 50


def least_core(kept: Mask, worth: FloatArray, total: float) -> tuple[FloatArray, float]:
    """Return the most equal values of the least core, and its subsidy.

    The subsidy e is the least with which some values that sum to `total` give no coalition S less than
    worth(S) - e, a linear program; of these values, those of the smallest Euclidean length are the answer.

    Parameters
    ----------
    kept : ndarray of bool, shape (M, N)
        Proper coalitions, none of them empty.
    worth : ndarray of float64, shape (M,)
        What they gain on their own.
    total : float
        What there is to share out.

    Returns
    -------
    values : ndarray of float64, shape (N,)
    subsidy : float
    """
    n = kept.shape[1]
    scale = float(np.abs(np.append(worth, total)).max())
    if not len(kept) or not scale:
        return np.full(n, total / n), 0.0
    members, asked = kept.astype(np.float64), worth / scale
    subsidy = _subsidy(members, asked, total / scale)
    equal = total / scale / n
    short = asked - subsidy - _SLACK - members.sum(axis=1) * equal
    change = _shortest(members - members.mean(axis=1, keepdims=True), short)
    return (equal + change) * scale, subsidy * scale


def violation_bound(n_drawn: int, n: int, confidence: float = 0.95) -> float:
    """Return the share of all coalitions, at most, that would rather be on their own, with some confidence.

    The bound of Campi & Garatti (2008) for programs of which so many constraints were drawn at random.
    """
    return float(betaincinv(n, n_drawn - n + 1, confidence)) if n_drawn > n else 1.0


def _subsidy(members: FloatArray, asked: FloatArray, total: float) -> float:
    m, n = members.shape
    found = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=-np.column_stack([members, np.ones(m)]),
        b_ub=-asked,
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[total],
        bounds=(None, None),
        method="highs",
    )
    if not found.success:
        raise RuntimeError(f"the linear program of the least core could not be solved: {found.message}")
    return float(found.x[-1])


def _shortest(rows: FloatArray, least: FloatArray) -> FloatArray:
    """Return the shortest x with ``rows @ x >= least``, by Lawson & Hanson (1974, chapter 23)."""
    n = rows.shape[1]
    if least.max() <= 0:
        return np.zeros(n)
    weights, _ = nnls(
        np.vstack([rows.T, least]), np.append(np.zeros(n), 1.0), maxiter=_ITERATIONS * sum(rows.shape)
    )
    residual = np.append(rows.T @ weights, least @ weights - 1.0)
    return np.asarray(-residual[:n] / residual[n], dtype=np.float64)
