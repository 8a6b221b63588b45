"""How well values predict trainings with other seeds, and how far what they predict depends on the seed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.checks import described
from dataval.metrics.context import attainable
from dataval.metrics.fidelity import SubsetTruth
from dataval.metrics.statistics import check_values, rank_correlation

__all__ = ["FidelityAcrossSeeds", "fidelity_across_seeds", "outcome_correlation"]

FloatArray = npt.NDArray[np.float64]


class FidelityAcrossSeeds(BaseModel):
    """What `fidelity_across_seeds` found; printable, and JSON by `model_dump_json`.

    Attributes
    ----------
    same : tuple of float
        For each seed, the linear datamodeling score of its values against its own training.
    other : tuple of float
        For each seed, the mean score of its values against the trainings with the other seeds.
    averaged : tuple of float
        For each seed, the score of the mean of the other seeds' values against its training. Of two seeds, that
        mean is one seed's values.
    outcome_correlation : float or None
        The mean, over all pairs of seeds, of the rank correlation of what removing the same subsets does. None
        where the truths are of different subsets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    same: tuple[float, ...]
    other: tuple[float, ...]
    averaged: tuple[float, ...]
    outcome_correlation: float | None

    @property
    def attainable(self) -> float | None:
        r"""About the best score that values can have for a seed that they don't know: :math:`\sqrt r`.

        With r the `outcome_correlation`: what values of one seed say beyond it is about that seed.
        """
        return None if self.outcome_correlation is None else attainable(self.outcome_correlation)

    def __str__(self) -> str:
        r, best = self.outcome_correlation, self.attainable
        known = r is not None and best is not None
        correlate = f"; outcomes of two seeds correlate {r:.2f}, at best {best:.2f}" if known else ""
        return (
            f"linear datamodeling score over {len(self.same)} seeds: own seed {fmean(self.same):.2f}, another "
            f"{fmean(self.other):.2f}, mean of the other seeds' values {fmean(self.averaged):.2f}{correlate}"
        )


def fidelity_across_seeds(
    values: Sequence[npt.ArrayLike] | FloatArray, truths: Sequence[SubsetTruth]
) -> FidelityAcrossSeeds:
    r"""Judge the values of each seed by the trainings with the other seeds.

    Values are found in one training, and used for the next: with another seed. For values :math:`v^{(s)}` and
    what removing subsets really did to the training of seed t,

    .. math:: \mathrm{other}_s = \frac{1}{S-1}\sum_{t\ne s}\mathrm{LDS}(v^{(s)}, t),\qquad
              \mathrm{averaged}_t = \mathrm{LDS}\Big(\frac{1}{S-1}\sum_{s\ne t}v^{(s)}, t\Big).

    Where values of one seed do worse for another, but their averages do well, average: part of a value is
    about the seed. Where outcomes themselves don't correlate, nothing helps but another training.

    Parameters
    ----------
    values : array-like of float, shape (S, N)
        One row of values a seed, S >= 2: higher helps.
    truths : sequence of SubsetTruth
        What removing subsets did to the training with each of the seeds, in the same order; of the same subsets
        (``removed=``, or the same ``seed=`` of `retrain_subsets`), so that outcomes can be compared.

    Returns
    -------
    FidelityAcrossSeeds

    Raises
    ------
    TypeError
        If a truth is none.
    ValueError
        If there are fewer than two seeds, numbers of values, truths or samples differ, values are not finite,
        or a truth has fewer than three subsets.

    Examples
    --------
    >>> truths = [dv.evaluation.retrain_subsets(learner(seed), X, y, X_val, y_val) for seed in range(3)]
    >>> print(dv.evaluation.fidelity_across_seeds(values, truths))
    """
    rows = _rows(values, truths)
    scores = np.array([[_score(row, truth) for truth in truths] for row in rows])
    others = ~np.eye(len(rows), dtype=bool)
    return FidelityAcrossSeeds(
        same=tuple(np.diagonal(scores).tolist()),
        other=tuple(float(scores[s][others[s]].mean()) for s in range(len(rows))),
        averaged=tuple(_score(rows[others[t]].mean(axis=0), truths[t]) for t in range(len(rows))),
        outcome_correlation=outcome_correlation(truths),
    )


def outcome_correlation(truths: Sequence[SubsetTruth]) -> float | None:
    """Return the mean rank correlation of what removing the same subsets did, over all pairs of trainings.

    None where they are not of the same subsets; NaN where a training changed by the same for all of them.
    """
    if any(not np.array_equal(truth.removed, truths[0].removed) for truth in truths):
        return None
    return fmean(rank_correlation(one.changes, other.changes) for one, other in combinations(truths, 2))


def _rows(values: Sequence[npt.ArrayLike] | FloatArray, truths: Sequence[SubsetTruth]) -> FloatArray:
    """Return values ``(S, N)``, checked."""
    if isinstance(truths, SubsetTruth | str) or not isinstance(truths, Sequence):
        raise TypeError(f"truths must be a sequence of SubsetTruth, one a seed, got {described(truths)}")
    for truth in truths:
        if not isinstance(truth, SubsetTruth):
            raise TypeError(
                f"each truth must be a SubsetTruth, as retrain_subsets returns it, got {described(truth)}"
            )
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise TypeError(f"values must be rows of numbers, shape (S, N), got {described(values)}")
    rows = [check_values(row) for row in values]
    if len(rows) < 2 or len(rows) != len(truths):
        raise ValueError(f"give values and truths of at least two seeds, got {len(rows)} and {len(truths)}")
    sizes = sorted({*(len(row) for row in rows), *(truth.n_samples for truth in truths)})
    if len(sizes) > 1:
        raise ValueError(f"values and truths are of different numbers of samples: {sizes}")
    if min(len(truth) for truth in truths) < 3:
        raise ValueError("a correlation needs at least 3 subsets of every seed")
    return np.stack(rows)


def _score(values: FloatArray, truth: SubsetTruth) -> float:
    return rank_correlation(truth.removed @ values, truth.changes)
