"""Beta Shapley."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from dataval.backend import ObjectiveFunction
from dataval.checks import real_number
from dataval.methods.shapley.by_permutations import PermutationValuator
from dataval.methods.shapley.estimate import Estimate
from dataval.methods.shapley.game import Game
from dataval.methods.shapley.semivalues import beta_sizes
from dataval.training.learner import Learner

__all__ = ["BetaShapley"]


class BetaShapley(PermutationValuator):
    r"""What a sample adds to coalitions whose sizes one chooses: Data Shapley without its sum.

    .. math::
        \mathrm{value}_j = \sum_{S \not\ni j} \frac{\mathrm B(|S| + \beta,\, N - 1 - |S| + \alpha)}
        {\mathrm B(\beta, \alpha)}\,[v(S \cup j) - v(S)]

    with v as in `DataShapley`, which is Beta(1, 1). A large `alpha` asks about small coalitions, where a sample
    changes most and a wrong label shows best; a large `beta` about large ones, where `LeaveOneOut` looks. The
    values don't sum to anything. Permutations are drawn as for `DataShapley`, and each gain is weighted by how
    much likelier its size is than under a uniform distribution.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        As for `DataShapley`.
    alpha, beta : float
        Of the distribution; by default 16 and 1, which Kwon & Zou found best for wrong labels.
    method : {"antithetic", "random", "stratified", "exact"}, default "antithetic"
        As for `DataShapley`.
    n_permutations, tolerance, seed
        As for `DataShapley`.
    utility, objective, seeds, n_jobs, group_size, folder
        As for `DataShapley`.

    Attributes
    ----------
    run_ : TrainingRun or None
        As of `DataShapley`.
    diagnostics_ : dict
        As of `DataShapley`.

    References
    ----------
    Kwon & Zou (2022). Beta Shapley: a unified and noise-reduced data valuation framework for machine learning.
    AISTATS.

    Examples
    --------
    >>> values = dv.BetaShapley(LogisticRegression(), utility="accuracy").fit(X, y).score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | Any,
        *,
        alpha: float = 16.0,
        beta: float = 1.0,
        method: Literal["antithetic", "random", "stratified", "exact"] = "antithetic",
        n_permutations: int = 100,
        tolerance: float | None = 0.05,
        seed: int = 0,
        utility: str | Callable[..., float] = "loss",
        objective: ObjectiveFunction | None = None,
        seeds: Sequence[int] | None = None,
        n_jobs: int | None = None,
        group_size: int | None = None,
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(
            learner,
            method=method,
            n_permutations=n_permutations,
            tolerance=tolerance,
            seed=seed,
            utility=utility,
            objective=objective,
            seeds=seeds,
            n_jobs=n_jobs,
            group_size=group_size,
            folder=folder,
        )
        self.alpha = alpha
        self.beta = beta

    def _check_numbers(self) -> None:
        super()._check_numbers()
        for name in ("alpha", "beta"):
            if real_number(name, getattr(self, name)) <= 0:
                raise ValueError(f"{name} must be greater than 0, got {getattr(self, name)}")

    def _estimate(self, game: Game) -> Estimate:
        return self._sampled(game, beta_sizes(game.n_samples, self.alpha, self.beta))
