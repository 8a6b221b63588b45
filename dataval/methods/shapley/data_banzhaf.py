"""Data Banzhaf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dataval.backend import ObjectiveFunction
from dataval.methods.shapley.by_coalitions import CoalitionValuator
from dataval.methods.shapley.coalitions import CoalitionSampler, Drawn
from dataval.methods.shapley.estimate import Estimate
from dataval.methods.shapley.game import FloatArray, Game, Mask
from dataval.methods.shapley.regression import least_squares
from dataval.methods.shapley.semivalues import binomial_sizes, exact_semivalue
from dataval.training.learner import Learner

__all__ = ["DataBanzhaf"]

_FEWEST = 64  # coalitions before their spread says how far off a mean is


class DataBanzhaf(CoalitionValuator):
    r"""What a sample adds to a random half of the others: the ranking that noise in training disturbs least.

    .. math:: \mathrm{value}_j = 2^{1-N} \sum_{S \not\ni j} [v(S \cup j) - v(S)]

    with v as in `DataShapley`. Every training says something about every sample: by *maximum sample reuse* the
    value is the mean gain of the coalitions with the sample minus that of those without it. The values don't
    sum to anything. They answer for removing half of the samples; `HyDRA` and `LeaveOneOut` answer for one.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        As for `DataShapley`.
    method : {"msr", "kernel", "exact"}, default "msr"
        ``"msr"``: maximum sample reuse. ``"kernel"``: regression on pairs of a coalition and its complement,
        which takes away what other samples do by themselves: mostly far more exact for as many trainings, which
        have to be at least 4 N. ``"exact"``: all 2^N coalitions, for N up to 16.
    n_coalitions : int, optional
        The most trainings; by default 10 N, and at least 1,000.
    tolerance : float or None, default 0.05
        Stop earlier, once the standard errors are this small, as for `DataShapley`.
    seed : int, default 0
        Draws the coalitions.
    utility, objective, seeds, n_jobs, group_size, folder
        As for `DataShapley`.

    Attributes
    ----------
    run_ : TrainingRun or None
        As of `DataShapley`.
    diagnostics_ : dict
        As of `DataShapley`, with ``"n_coalitions"`` in place of ``"n_permutations"``.

    References
    ----------
    Wang & Jia (2023). Data Banzhaf: A robust data valuation framework for machine learning. AISTATS.
    Liu, Witter, Korn, Alrashed, Paparas, Musco & Freire (2024). Kernel Banzhaf: A fast and robust estimator for
    Banzhaf values. arXiv 2410.08336.

    Examples
    --------
    >>> banzhaf = dv.DataBanzhaf(learner, method="kernel", folder="retrained").fit(X, y, run=run)
    >>> banzhaf.score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | Any,
        *,
        method: Literal["msr", "kernel", "exact"] = "msr",
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

    @property
    def _choices(self) -> tuple[str, ...]:
        return "msr", "kernel"

    def _check_count(self, n: int) -> None:
        if self.method == "kernel":
            self._require(n, 4 * n, "the regression")

    def _estimate(self, game: Game) -> Estimate:
        n = game.n_samples
        if self.method == "exact":
            return exact_semivalue(game, binomial_sizes(n, [0.5]))
        if self.method == "kernel":
            sampler = CoalitionSampler(game, _draw_pairs, _by_regression, seed=self.seed, together=2)
            return self._sampled(game, sampler, 4 * n)
        return self._sampled(game, CoalitionSampler(game, _draw, _by_means, seed=self.seed), _FEWEST)


def _draw(rng: np.random.Generator, n: int, n_samples: int) -> Drawn:
    return Drawn(rng.random((n, n_samples)) < 0.5, np.full(n, 0.5))


def _draw_pairs(rng: np.random.Generator, n: int, n_samples: int) -> Drawn:
    """Return each coalition and its complement, one after the other."""
    kept = _draw(rng, n, n_samples).kept
    return Drawn(np.stack([kept, ~kept], axis=1).reshape(2 * n, n_samples), np.full(2 * n, 0.5))


def _by_means(drawn: Drawn, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the difference of the mean gains with and without each sample, and its error, Welch's (1938)."""
    with_it, with_it_error = _means(drawn.kept, gains)
    without, without_error = _means(~drawn.kept, gains)
    return with_it - without, np.sqrt(with_it_error**2 + without_error**2)


def _means(chosen: Mask, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean of the gains that each sample chose, ``(N, C)``, and its standard error."""
    counts, middle = chosen.sum(axis=0)[:, None], gains.mean(axis=0)
    if counts.min() < 2:
        sample = int(counts.argmin())
        raise ValueError(
            f"of {len(gains)} coalitions too few differ in sample {sample} to value it: raise n_coalitions"
        )
    centred, parts = gains - middle, chosen.T.astype(np.float64)
    means = parts @ centred / counts
    variances = np.maximum(parts @ centred**2 / counts - means**2, 0.0) * counts / (counts - 1)
    return means + middle, np.sqrt(variances / counts)


def _by_regression(drawn: Drawn, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the coefficients of the sides that samples are on, in what pairs differ by."""
    sides = np.where(drawn.kept[::2], 1.0, -1.0)
    return least_squares(sides, gains[::2] - gains[1::2])
