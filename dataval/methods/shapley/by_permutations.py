"""The base of the methods that let samples join one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataval.backend import ObjectiveFunction
from dataval.checks import whole_number
from dataval.methods.shapley.base import GameValuator, check_tolerance
from dataval.methods.shapley.estimate import Estimate, sample_until
from dataval.methods.shapley.game import FloatArray, Game
from dataval.methods.shapley.permutations import Order, PermutationSampler, block_size
from dataval.methods.shapley.semivalues import exact_semivalue
from dataval.training.learner import Learner

__all__ = ["PermutationValuator"]

_FEWEST = 8  # blocks before their spread says how far off the mean is


class PermutationValuator(GameValuator):
    """Base of the semivalues that are found by permutations; subclasses give the probabilities of the sizes."""

    def __init__(
        self,
        learner: Learner | Any,
        *,
        method: str,
        n_permutations: int,
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
        self.n_permutations = n_permutations
        self.tolerance = tolerance

    @property
    def _choices(self) -> tuple[str, ...]:
        return "random", "antithetic", "stratified"

    def _check_numbers(self) -> None:
        whole_number("n_permutations", self.n_permutations, minimum=1)
        check_tolerance(self.tolerance)

    def _sampled(self, game: Game, sizes: FloatArray, truncation: float | None = None) -> Estimate:
        if self.method == "exact":
            return exact_semivalue(game, sizes)
        order: Order = self.method  # type: ignore[assignment]  # it is one of the choices
        sampler = PermutationSampler(game, sizes, order=order, seed=self.seed, truncation=truncation)
        size = block_size(order, game.n_samples)
        most = -(-self.n_permutations // size)
        found = sample_until(sampler, most, self.tolerance, _FEWEST, game.progress)
        found.notes["n_permutations"] = found.notes.pop("n_draws") * size
        return found
