"""What the first samples of permutations gain, up to where the rest no longer matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.methods.shapley.game import FloatArray, Game, Mask

__all__ = ["prefix_gains"]

_IN_A_ROW = 5  # prefixes that gain as much as all samples: one alone may do so on its way past
_TOGETHER = 256  # trainings between two looks


def prefix_gains(
    game: Game, orders: NDArray[np.int64], truncation: float | None = None
) -> tuple[FloatArray, int]:
    """Return what the first 0 ... N samples of P permutations ``(P, N)`` gain, and how many were not trained.

    Parameters
    ----------
    game : Game
        What trains.
    orders : ndarray of int64, shape (P, N)
        The permutations.
    truncation : float, optional
        A permutation ends once five prefixes in a row gain what all samples do, up to this share of the
        difference between all and none. What is left to gain is shared equally by the samples that remain.

    Returns
    -------
    gains : ndarray of float64, shape (P, N + 1, Q + 1)
    n_saved : int
    """
    n_orders, n = orders.shape
    ranks = np.argsort(orders, axis=1)
    if truncation is None:
        found = game.gains(_prefixes(ranks, np.arange(n + 1)))
        return found.reshape(n_orders, n + 1, -1), 0
    ends = game.gains(np.repeat([[False], [True]], n, axis=1))
    gains = np.full((n_orders, n + 1, ends.shape[1]), np.nan)
    gains[:, 0], gains[:, n] = ends
    within = truncation * abs(ends[1, -1] - ends[0, -1])
    running, in_a_row, done, n_saved = np.arange(n_orders), np.zeros(n_orders, dtype=int), 0, 0
    while len(running) and done < n - 1:
        sizes = np.arange(done + 1, min(n, done + 1 + max(1, _TOGETHER // len(running))))
        found = game.gains(_prefixes(ranks[running], sizes))
        gains[running[:, None], sizes] = found.reshape(len(running), len(sizes), -1)
        done = int(sizes[-1])
        ended = _ended(gains, running, sizes, in_a_row, within)
        n_saved += len(ended) * (n - 1 - done)
        running = np.setdiff1d(running, list(ended))
        for order, size in ended.items():
            gains[order, size:] = np.linspace(gains[order, size], gains[order, n], n - size + 1)
    return gains, n_saved


def _prefixes(ranks: NDArray[np.int64], sizes: NDArray[np.int64]) -> Mask:
    """Return coalitions of the samples whose rank is below each size, ``(P * len(sizes), N)``."""
    return np.asarray(ranks[:, None, :] < sizes[:, None]).reshape(-1, ranks.shape[1])


def _ended(
    gains: FloatArray,
    running: NDArray[np.int64],
    sizes: NDArray[np.int64],
    in_a_row: NDArray[np.int64],
    within: float,
) -> dict[int, int]:
    """Return the permutations that end, with the sizes at which they do; count what was near in a row."""
    ended: dict[int, int] = {}
    for size in sizes.tolist():
        near = np.abs(gains[running, size, -1] - gains[running, -1, -1]) <= within
        in_a_row[running] = np.where(near, in_a_row[running] + 1, 0)
        for order in running[in_a_row[running] >= _IN_A_ROW].tolist():
            ended.setdefault(order, size)
    return ended
