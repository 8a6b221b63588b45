"""Which samples are shown where not all fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["choose"]

_LOWEST, _HIGHEST, _RANDOM = 2000, 500, 500


def choose(ranks: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order samples by how soon they are looked at, and choose those to show where not all fit.

    Parameters
    ----------
    ranks : ndarray of int64, shape (methods, N)
        0 for the lowest value.
    seed : int
        Draws the random ones.

    Returns
    -------
    order : ndarray of int64, shape (N,)
        The lowest first, by the method that ranks a sample lowest.
    chosen : ndarray of int64
        The lowest, then the highest, then random ones of the others, none twice.
    """
    order = np.argsort(ranks.min(axis=0), kind="stable")
    falling = np.argsort(-ranks.max(axis=0), kind="stable")
    shuffled = np.random.default_rng(seed).permutation(ranks.shape[1])
    chosen = dict.fromkeys(order[:_LOWEST].tolist())
    for more, count in ((falling, _HIGHEST), (shuffled, _RANDOM)):
        new = [index for index in more[: count + len(chosen)].tolist() if index not in chosen]
        chosen |= dict.fromkeys(new[:count])
    return order, np.array(list(chosen), dtype=np.int64)
