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
    other samples in S with probability p. With :math:`x_j = 1/p` where j is in the coalition and
    :math:`-1/(1-p)` where it is not, the value is :math:`\mathrm E[1/(p(1-p))]` times the coefficient of
    :math:`x_j` in a linear regression of v on all x. The values don't sum to anything.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        As for `DataShapley`.
    probabilities : sequence of float, default (0.2, 0.4, 0.6, 0.8)
        What p is drawn from, uniformly; between 0 and 1.
    method : {"least_squares", "lasso", "exact"}, default "least_squares"
        ``"least_squares"`` takes at least 2 (N + 1) trainings. ``"lasso"`` finds the few samples that matter
        from fewer trainings than samples, the others' values are 0; it shrinks values, and has none for
        single validation samples. ``"exact"``: all 2^N coalitions, for N up to 16.
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
        n_jobs: int = 1,
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
            self._require(n, 2 * (n + 1), "the regression")

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
        scale = float(np.mean([1 / (p * (1 - p)) for p in grid]))

        def draw(rng: np.random.Generator, n_draws: int, n_samples: int) -> Drawn:
            uniform = rng.random((n_draws, n_samples + 1))
            p = np.asarray(grid)[(uniform[:, 0] * len(grid)).astype(int)]
            return Drawn(uniform[:, 1:] < p[:, None], p)

        def values(drawn: Drawn, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
            return _by_least_squares(drawn, gains, scale)

        if self.method == "least_squares":
            return self._sampled(game, CoalitionSampler(game, draw, values, seed=self.seed), 4 * (n + 1))
        return self._by_lasso(game, draw, scale)

    def _by_lasso(self, game: Game, draw: Callable[..., Drawn], scale: float) -> Estimate:
        m = self._most(game.n_samples)
        drawn = draw(np.random.default_rng([self.seed, 8]), m, game.n_samples)
        values, debiased, error = _by_lasso(drawn, game.gains(drawn.kept)[:, -1], scale)
        return Estimate(values[:, None], error, {"debiased": debiased, "n_coalitions": m})


def _checked(probabilities: Any) -> tuple[float, ...]:
    if isinstance(probabilities, str) or np.ndim(probabilities) != 1 or not len(probabilities):
        raise ValueError(
            f"probabilities must be a sequence of numbers between 0 and 1, got {described(probabilities)}"
        )
    return tuple(share(f"probabilities[{i}]", p) for i, p in enumerate(probabilities))


def _design(drawn: Drawn) -> FloatArray:
    """Return x: of mean 0 and uncorrelated, whatever p."""
    p = drawn.probability[:, None]
    return np.where(drawn.kept, 1 / p, -1 / (1 - p))


def _by_least_squares(drawn: Drawn, gains: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    design = np.column_stack([np.ones(len(gains)), _design(drawn)])
    found, errors = least_squares(design, gains)
    return scale * found[1:], scale * errors[1:]


def _by_lasso(drawn: Drawn, gains: FloatArray, scale: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the lasso's values, the same with what its shrinking took away, and the errors of these."""
    from sklearn.linear_model import LassoCV

    design = _design(drawn)
    spread = float(gains.std()) or 1.0
    found = LassoCV(cv=5, max_iter=10_000).fit(design / np.sqrt(scale), (gains - gains.mean()) / spread)
    values = found.coef_ * spread * np.sqrt(scale)
    residuals = gains - gains.mean() - design @ values / scale
    products = design * (residuals - residuals.mean())[:, None]
    return values, values + products.mean(axis=0), products.std(axis=0, ddof=1) / np.sqrt(len(gains))
