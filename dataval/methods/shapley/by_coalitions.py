"""The base of the methods that draw coalitions, each of which says something about every sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataval.backend import ObjectiveFunction
from dataval.checks import whole_number
from dataval.methods.shapley.base import GameValuator, check_tolerance
from dataval.methods.shapley.coalitions import CoalitionSampler
from dataval.methods.shapley.estimate import Estimate, sample_until
from dataval.methods.shapley.game import Game
from dataval.training.learner import Learner

__all__ = ["CoalitionValuator"]


class CoalitionValuator(GameValuator):
    """Base of the methods that draw coalitions; subclasses say how, and what to make of them."""

    def __init__(
        self,
        learner: Learner | Any,
        *,
        method: str,
        n_coalitions: int | None,
        tolerance: float | None,
        seed: int,
        utility: str | Callable[..., float],
        objective: ObjectiveFunction | None,
        seeds: Sequence[int] | None,
        n_jobs: int | None,
        group_size: int | None,
        folder: str | Path | None,
    ) -> None:
        super().__init__(
            learner,
            method=method,
            seed=seed,
            utility=utility,
            objective=objective,
            seeds=seeds,
            n_jobs=n_jobs,
            group_size=group_size,
            folder=folder,
        )
        self.n_coalitions = n_coalitions
        self.tolerance = tolerance

    def _check_numbers(self) -> None:
        if self.n_coalitions is not None:
            whole_number("n_coalitions", self.n_coalitions, minimum=8)
        check_tolerance(self.tolerance)

    def _most(self, n: int) -> int:
        """Return how many coalitions of N samples to draw at most."""
        return max(1000, 10 * n) if self.n_coalitions is None else self.n_coalitions

    def _sampled(self, game: Game, sampler: CoalitionSampler, fewest: int) -> Estimate:
        """Return what a sampler finds, which needs so many coalitions to know its error."""
        each = sampler.unit_cost
        most = self._most(game.n_samples) // each
        found = sample_until(sampler, most, self.tolerance, -(-fewest // each), game.progress)
        found.notes["n_coalitions"] = found.notes.pop("n_draws") * each
        return found

    def _require(self, n: int, fewest: int, why: str) -> None:
        """Raise `ValueError` if fewer coalitions than so many may be drawn."""
        if self._most(n) < fewest:
            raise ValueError(
                f"n_coalitions={self.n_coalitions} is too few for {n} samples: {why} takes at least {fewest}"
            )
