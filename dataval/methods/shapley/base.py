"""The base of all methods that ask what samples add to coalitions of others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataval.backend import ObjectiveFunction
from dataval.checks import one_of, real_number, whole_number
from dataval.methods.of_retraining import RetrainingValuator
from dataval.methods.shapley.estimate import Estimate
from dataval.methods.shapley.game import FloatArray, Game, Mask
from dataval.methods.shapley.semivalues import check_exact
from dataval.retraining.again import Retraining, RetrainingOptions
from dataval.training.learner import Learner

__all__ = ["GameValuator", "check_tolerance"]


class GameValuator(RetrainingValuator):
    """Base of the methods of cooperative games: training samples are the players.

    A coalition S gains minus the validation loss, or the utility, of what is trained on it alone. For a
    learner that is its run with the weights of all others at 0: same initialisation, batches, divisor b and
    random draws. On the empty coalition all weights are 0; without weight decay and batch statistics that is
    the untrained model. An estimator is fitted on the samples of S; where it gives no model (no sample, or one
    class that it refuses), the prior prediction is judged, that of scikit-learn's `DummyClassifier` or
    `DummyRegressor` on all training targets.

    Subclasses implement `_estimate` and say in `_choices` which methods they have.
    """

    method: str
    seed: int

    def __init__(
        self,
        learner: Learner | Any,
        *,
        method: str,
        seed: int,
        utility: str | Callable[..., float],
        objective: ObjectiveFunction | None,
        seeds: Sequence[int] | None,
        n_jobs: int | None,
        group_size: int | None,
        folder: str | Path | None,
    ) -> None:
        self.learner = learner
        self.method = method
        self.seed = seed
        self.utility = utility
        self.objective = objective
        self.seeds = seeds
        self.n_jobs = n_jobs
        self.group_size = group_size
        self.folder = folder

    @abstractmethod
    def _estimate(self, game: Game) -> Estimate:
        """Return the values, from a game of checked size."""

    @abstractmethod
    def _check_numbers(self) -> None:
        """Raise if an option of the method's own makes no sense."""

    def _check_count(self, n: int) -> None:
        """Raise `ValueError` if what may be drawn is too little for N samples."""

    @property
    @abstractmethod
    def _choices(self) -> tuple[str, ...]:
        """What `method` can be, beside "exact"."""

    def _options(self) -> RetrainingOptions:
        one_of("method", self.method, (*self._choices, "exact"))
        whole_number("seed", self.seed, minimum=0)
        self._check_numbers()
        return super()._options()

    def _removals(self, n: int) -> Mask:
        if self.method == "exact":
            check_exact(n)
        else:
            self._check_count(n)
        return np.zeros((0, n), dtype=bool)

    def _score(self, retraining: Retraining, validation: Any) -> FloatArray:
        return np.ascontiguousarray(self._estimated(retraining, validation, single=False).values[:, -1])

    def _attribute(self, source: Retraining, validation: Any) -> FloatArray:
        self._check_single(source)
        return np.ascontiguousarray(self._estimated(source, validation, single=True).values[:, :-1].T)

    def _estimated(self, retraining: Retraining, validation: Any, *, single: bool) -> Estimate:
        options, n = self._options(), retraining.n_samples
        self._removals(n)
        coalitions = retraining.coalitions(validation, options, single=single)
        game = Game(coalitions, n, self.learner.progress if isinstance(self.learner, Learner) else None)
        found = self._estimate(game)
        self.diagnostics_ = {
            "standard_error": found.error,
            "relative_error": found.relative_error,
            "utility": game.utility(of_all=True),
            "utility_of_none": game.utility(of_all=False),
            "n_trainings": game.n_trained,
            "n_without_model": coalitions.n_without_model,
            **found.notes,
        }
        return found


def check_tolerance(tolerance: float | None) -> None:
    """Raise if a relative error makes no sense as the one at which to stop."""
    if tolerance is not None:
        real_number("tolerance", tolerance, minimum=0)
