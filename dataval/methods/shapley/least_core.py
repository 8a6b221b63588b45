"""The least core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dataval.backend import ObjectiveFunction
from dataval.methods.base import DataValuator
from dataval.methods.shapley.by_coalitions import CoalitionValuator
from dataval.methods.shapley.coalitions import CoalitionSampler, Drawn
from dataval.methods.shapley.core import least_core, violation_bound
from dataval.methods.shapley.estimate import Estimate
from dataval.methods.shapley.game import FloatArray, Game, Mask, all_coalitions
from dataval.training.learner import Learner

__all__ = ["LeastCore"]


class LeastCore(CoalitionValuator):
    r"""What samples would have to be paid so that no coalition of them would rather be on its own.

    .. math::
        \min_{\mathrm{value}, e} e \quad\text{subject to}\quad \sum_j \mathrm{value}_j = v(\text{all}) -
        v(\text{none}),\qquad \sum_{j \in S} \mathrm{value}_j \ge v(S) - v(\text{none}) - e
        \quad\text{for all } S \ne \emptyset, \text{all}

    with v as in `DataShapley`. Of all values with the least subsidy e, those of the smallest Euclidean length,
    which are one set, are the answer: samples that do the same have equal values. It looks at the coalitions
    that gain most, not at averages. Few constraints bind, so that many samples get nearly equal values: to
    rank samples, `DataShapley` and `DataBanzhaf` say more. It has no values for single validation samples.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        As for `DataShapley`.
    method : {"sampled", "exact"}, default "sampled"
        ``"sampled"`` asks of coalitions that are drawn, each sample with probability 1/2, alone;
        ``"exact"`` of all, for N up to 16.
    n_coalitions : int, optional
        Number of coalitions; by default 10 N, and at least 1,000.
    seed : int, default 0
        Draws the coalitions.
    utility, objective, seeds, n_jobs, group_size, folder
        As for `DataShapley`.

    Attributes
    ----------
    run_ : TrainingRun or None
        As of `DataShapley`.
    diagnostics_ : dict
        As of `DataBanzhaf`, with ``"epsilon"``, the subsidy e in the unit of the utility (below 0 where every
        coalition can be given more than it gains), and ``"violation"``: with a confidence of 0.95 at most this
        share of all coalitions is given less than v(S) - e (Campi & Garatti, 2008). ``"standard_error"`` is NaN
        where coalitions were drawn: an extreme has none.

    References
    ----------
    Yan & Procaccia (2021). If you like Shapley then you'll love the core. AAAI.
    Campi & Garatti (2008). The exact feasibility of randomized solutions of uncertain convex programs. SIAM
    Journal on Optimization 19.

    Examples
    --------
    >>> core = dv.LeastCore(LogisticRegression(), utility="accuracy").fit(X, y)
    >>> core.score(X_val, y_val), core.diagnostics_["epsilon"]
    """

    _attribute = DataValuator._attribute

    def __init__(
        self,
        learner: Learner | Any,
        *,
        method: Literal["sampled", "exact"] = "sampled",
        n_coalitions: int | None = None,
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
            tolerance=None,
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
        return ("sampled",)

    def _estimate(self, game: Game) -> Estimate:
        n = game.n_samples
        if self.method == "exact":
            kept = all_coalitions(n)[1:-1]
            values, subsidy = _values(game, kept, game.gains(all_coalitions(n))[1:-1])
            return Estimate(values, np.zeros(n), {"epsilon": subsidy, "violation": 0.0})
        notes = {}

        def values_of(drawn: Drawn, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
            values, notes["epsilon"] = _values(game, drawn.kept, gains)
            return values, np.full_like(values, np.nan)

        found = self._sampled(game, CoalitionSampler(game, _draw, values_of, seed=self.seed), 0)
        found.notes.pop("converged")
        notes["violation"] = violation_bound(found.notes["n_coalitions"], n)
        return Estimate(found.values, found.error, found.notes | notes)


def _values(game: Game, kept: Mask, gains: FloatArray) -> tuple[FloatArray, float]:
    n = game.n_samples
    none, everything = game.gains(np.repeat([[False], [True]], n, axis=1))[:, -1]
    values, subsidy = least_core(kept, gains[:, -1] - none, everything - none)
    return values[:, None], subsidy


def _draw(rng: np.random.Generator, n: int, n_samples: int) -> Drawn:
    """Draw coalitions that are neither empty nor everything."""
    kept = np.zeros((n, n_samples), dtype=bool)
    while n_samples > 1 and len(rows := np.flatnonzero(kept.all(axis=1) | ~kept.any(axis=1))):
        kept[rows] = rng.random((len(rows), n_samples)) < 0.5
    return Drawn(kept, np.full(n, 0.5))
