"""The average marginal effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dataval.backend import ObjectiveFunction
from dataval.checks import described, share
from dataval.methods.shapley.by_coalitions import CoalitionValuator
from dataval.methods.shapley.coalitions import CoalitionSampler, Drawn
from dataval.methods.shapley.estimate import Estimate
from dataval.methods.shapley.game import FloatArray, Game
from dataval.methods.shapley.regression import least_squares
from dataval.methods.shapley.semivalues import binomial_sizes, exact_semivalue
from dataval.retraining.again import Retraining
from dataval.training.learner import Learner

__all__ = ["AME"]


class AME(CoalitionValuator):
    r"""What a sample adds to coalitions of several densities, by one regression.

    .. math:: \mathrm{value}_j = \mathrm E_p\, \mathrm E_{S \sim p}\,[v(S \cup j) - v(S)]

    the average marginal effect, with v as in `DataShapley`, a probability p drawn from some, and each of the
    other samples in S with probability p. It is the coefficient of :math:`1[j \in S] - p` in a regression of v
    on all of these and on an intercept for each p, with weights :math:`1/(p(1-p))`: without error where samples
    don't interact. (Lin et al. regress without weights on :math:`x_j = 1/p` or :math:`-1/(1-p)`, which has
    the same expectation, and takes for noise how v depends on p.) The values don't sum to anything.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        As for `DataShapley`.
    probabilities : sequence of float, default (0.2, 0.4, 0.6, 0.8)
        What p is drawn from, uniformly; between 0 and 1.
    method : {"least_squares", "lasso", "exact"}, default "least_squares"
        ``"least_squares"`` takes at least twice N plus the number of probabilities as trainings. ``"lasso"``
        finds the few samples that matter from fewer trainings than samples, the others' values are 0; it
        shrinks values, and has none for single validation samples. ``"exact"``: all 2^N coalitions, for N up
        to 16.
    n_coalitions : int, optional
        The most trainings; by default 10 N, and at least 1,000.
    tolerance : float or None, default 0.05
        Stop earlier, as for `DataShapley`. Not for the lasso, which takes all.
    seed : int, default 0
        Draws probabilities and coalitions.
    utility, objective, seeds, n_jobs, group_size, folder
        As for `DataShapley`.

    Attributes
    ----------
    run_ : TrainingRun or None
        As of `DataShapley`.
    diagnostics_ : dict
        As of `DataBanzhaf`. With the lasso, ``"debiased"`` has its values plus what x says of its residuals,
        and ``"standard_error"`` is that of these: of the values themselves it leaves out the bias.

    References
    ----------
    Lin, Zhang, Lécuyer, Li, Panda & Sen (2022). Measuring the effect of training data on deep learning
    predictions via randomized experiments. ICML.

    Examples
    --------
    >>> values = dv.AME(learner, method="lasso", n_coalitions=500).fit(X, y).score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | Any,
        *,
        probabilities: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
        method: Literal["least_squares", "lasso", "exact"] = "least_squares",
        n_coalitions: int | None = None,
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
            n_coalitions=n_coalitions,
            tolerance=tolerance,
            seed=seed,
            utility=utility,
            objective=objective,
            seeds=seeds,
            n_jobs=n_jobs,
            group_size=group_size,
            folder=folder,
        )
        self.probabilities = probabilities

    @property
    def _choices(self) -> tuple[str, ...]:
        return "least_squares", "lasso"

    def _check_numbers(self) -> None:
        super()._check_numbers()
        _checked(self.probabilities)

    def _check_count(self, n: int) -> None:
        if self.method == "least_squares":
            self._require(n, self._fewest(n), "the regression")

    def _fewest(self, n: int) -> int:
        """Twice the unknowns."""
        return 2 * (n + len({*_checked(self.probabilities)}))

    def _check_single(self, retraining: Retraining) -> None:
        super()._check_single(retraining)
        if self.method == "lasso":
            raise TypeError(
                "the lasso gives no values for single validation samples: use score, or least_squares"
            )

    def _estimate(self, game: Game) -> Estimate:
        n, grid = game.n_samples, _checked(self.probabilities)
        if self.method == "exact":
            return exact_semivalue(game, binomial_sizes(n, grid))

        def draw(rng: np.random.Generator, n_draws: int, n_samples: int) -> Drawn:
            uniform = rng.random((n_draws, n_samples + 1))
            p = np.asarray(grid)[(uniform[:, 0] * len(grid)).astype(int)]
            return Drawn(uniform[:, 1:] < p[:, None], p)

        if self.method == "least_squares":
            sampler = CoalitionSampler(game, draw, _by_least_squares, seed=self.seed)
            return self._sampled(game, sampler, 2 * self._fewest(n))
        return self._by_lasso(game, draw)

    def _by_lasso(self, game: Game, draw: Callable[..., Drawn]) -> Estimate:
        m = self._most(game.n_samples)
        drawn = draw(np.random.default_rng([self.seed, 8]), m, game.n_samples)
        values, debiased, error = _by_lasso(drawn, game.gains(drawn.kept)[:, -1])
        return Estimate(values[:, None], error, {"debiased": debiased, "n_coalitions": m})


def _checked(probabilities: Any) -> tuple[float, ...]:
    if isinstance(probabilities, str) or np.ndim(probabilities) != 1 or not len(probabilities):
        raise ValueError(
            f"probabilities must be a sequence of numbers between 0 and 1, got {described(probabilities)}"
        )
    return tuple(share(f"probabilities[{i}]", p) for i, p in enumerate(probabilities))


def _design(drawn: Drawn) -> tuple[FloatArray, FloatArray]:
    """Return what says who is in, ``(M, N)``, of mean 0, variance 1 and uncorrelated; and what says which p."""
    p = drawn.probability[:, None]
    root = np.sqrt(p * (1 - p))
    return (drawn.kept - p) / root, (p == np.unique(p)) / root


def _by_least_squares(drawn: Drawn, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
    members, densities = _design(drawn)
    root = np.sqrt(drawn.probability * (1 - drawn.probability))[:, None]
    found, errors = least_squares(np.column_stack([densities, members]), gains / root)
    n = densities.shape[1]
    return found[n:], errors[n:]


def _by_lasso(drawn: Drawn, gains: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the lasso's values, the same with what its shrinking took away, and the errors of these."""
    from sklearn.linear_model import LassoCV

    members, densities = _design(drawn)
    p = drawn.probability
    targets = gains / np.sqrt(p * (1 - p))
    targets = targets - densities @ np.linalg.lstsq(densities, targets)[0]
    spread = float(targets.std()) or 1.0
    found = LassoCV(cv=5, max_iter=10_000, fit_intercept=False).fit(members, targets / spread)
    values = found.coef_ * spread
    products = members * (targets - members @ values)[:, None]
    return values, values + products.mean(axis=0), products.std(axis=0, ddof=1) / np.sqrt(len(gains))
