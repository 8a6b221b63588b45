"""Semivalues from permutations: each sample's gain as it joins those that stand before it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dataval.methods.shapley.estimate import Estimate, Sampler
from dataval.methods.shapley.game import FloatArray, Game
from dataval.methods.shapley.prefixes import prefix_gains

__all__ = ["Order", "PermutationSampler", "block_size"]

Order = Literal["random", "antithetic", "stratified"]
Orders = NDArray[np.int64]

_ROTATIONS = 8


def block_size(order: Order, n: int) -> int:
    """Return how many permutations are drawn together, and depend on each other."""
    return {"random": 1, "antithetic": 2, "stratified": min(n, _ROTATIONS)}[order]


class PermutationSampler(Sampler):
    """Blocks of permutations, independent of each other; what is estimated is the mean over blocks.

    Parameters
    ----------
    game : Game
    sizes : ndarray of float64, shape (N,)
        Probabilities of the sizes, see `semivalues`.
    order : {"random", "antithetic", "stratified"}
        Blocks of one permutation; of one and its reverse; of one and its rotations by equal steps.
    seed : int
    truncation : float or None
        See `prefix_gains`.
    """

    def __init__(
        self, game: Game, sizes: FloatArray, *, order: Order, seed: int, truncation: float | None = None
    ) -> None:
        self._game, self._order, self._truncation = game, order, truncation
        self._factor = sizes * len(sizes)
        self._size = block_size(order, game.n_samples)
        self._rng = np.random.default_rng([seed, 7])
        self._moments = _Moments()
        self._n_saved = 0

    @property
    def unit_cost(self) -> int:
        """Prefixes of a block."""
        return self._size * self._game.n_samples

    def draw(self, n: int) -> None:
        """Draw n blocks."""
        orders = np.concatenate([self._block() for _ in range(n)])
        gains, n_saved = prefix_gains(self._game, orders, self._truncation)
        self._n_saved += n_saved
        marginal = np.diff(gains, axis=1) * self._factor[:, None]
        values = np.empty_like(marginal)
        np.put_along_axis(values, np.broadcast_to(orders[..., None], values.shape), marginal, axis=1)
        self._moments.add(values.reshape(n, self._size, *values.shape[1:]).mean(axis=1))

    def estimate(self, *, final: bool) -> Estimate:
        """Return the mean over blocks."""
        notes = {} if self._truncation is None else {"n_truncated": self._n_saved}
        return Estimate(self._moments.mean, self._moments.standard_error[:, -1], notes)

    def _block(self) -> Orders:
        order = self._rng.permutation(self._game.n_samples)
        if self._order == "antithetic":
            return np.stack([order, order[::-1]])
        steps = np.arange(self._size) * len(order) // self._size
        return np.stack([np.roll(order, step) for step in steps])


class _Moments:
    """Mean and variance of arrays that come one after another (Chan, Golub & LeVeque 1983)."""

    def __init__(self) -> None:
        self._n = 0
        self.mean: FloatArray = np.zeros(())
        self._squares: FloatArray = np.zeros(())

    def add(self, arrays: FloatArray) -> None:
        """Take more arrays, along the first axis."""
        n, mean = len(arrays), arrays.mean(axis=0)
        squares = ((arrays - mean) ** 2).sum(axis=0)
        change, total = mean - self.mean, self._n + n
        self._squares = self._squares + squares + change**2 * self._n * n / total
        self.mean = self.mean + change * n / total
        self._n = total

    @property
    def standard_error(self) -> FloatArray:
        """Of the mean; NaN for a single array."""
        if self._n < 2:
            return np.full_like(self.mean, np.nan)
        return np.sqrt(self._squares / (self._n - 1) / self._n)
