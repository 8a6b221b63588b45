"""Values from coalitions that are drawn one by one, each of which says something about every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataval.methods.shapley.estimate import Estimate, Sampler
from dataval.methods.shapley.game import FloatArray, Game, Mask

__all__ = ["CoalitionSampler", "Drawn"]


@dataclass(frozen=True)
class Drawn:
    """Coalitions.

    Attributes
    ----------
    kept : ndarray of bool, shape (M, N)
    probability : ndarray of float64, shape (M,)
        With which each sample had joined.
    """

    kept: Mask
    probability: FloatArray


class CoalitionSampler(Sampler):
    """Coalitions and what they gain, with an estimate that is made of all of them.

    Parameters
    ----------
    game : Game
    draw : callable
        (generator, number of draws, number of samples) -> Drawn.
    values : callable
        (Drawn, gains ``(M, C)``) -> values ``(N, C)`` and their standard errors ``(N, C)``.
    seed : int
    together : int
        How many coalitions are drawn at a time, and depend on each other.
    """

    def __init__(
        self,
        game: Game,
        draw: Callable[[np.random.Generator, int, int], Drawn],
        values: Callable[[Drawn, FloatArray], tuple[FloatArray, FloatArray]],
        *,
        seed: int,
        together: int = 1,
    ) -> None:
        self._game, self._draw, self._values, self._together = game, draw, values, together
        self._rng = np.random.default_rng([seed, 8])
        self._parts: list[Drawn] = []

    @property
    def unit_cost(self) -> int:
        """Coalitions that are drawn at a time."""
        return self._together

    def draw(self, n: int) -> None:
        """Draw n times, and train on what was drawn."""
        part = self._draw(self._rng, n, self._game.n_samples)
        self._game.gains(part.kept)
        self._parts.append(part)

    def estimate(self, *, final: bool) -> Estimate:
        """Return what all coalitions say; the mean alone where it is not final."""
        drawn = Drawn(
            np.concatenate([part.kept for part in self._parts]),
            np.concatenate([part.probability for part in self._parts]),
        )
        gains = self._game.gains(drawn.kept)
        values, errors = self._values(drawn, gains if final else gains[:, -1:])
        return Estimate(values, errors[:, -1])
