"""How far values of several training seeds agree with each other, and how each value is spread over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.checks import described, real_number, whole_number
from dataval.metrics.statistics import check_values, rank_correlation

__all__ = ["RankStability", "ValueDistribution", "rank_stability", "value_distribution"]

FloatArray = npt.NDArray[np.float64]


class RankStability(BaseModel):
    """What `rank_stability` found; printable, and JSON by `model_dump_json`.

    Attributes
    ----------
    n_runs : int
        Number of value vectors S.
    spearman : float
        Mean rank correlation over all pairs, in [-1, 1]; chance gives 0.
    spearman_low, spearman_high : float
        Smallest and largest over the pairs.
    k : int
        How many of the lowest values `overlap` looks at.
    overlap : float
        Mean share of the k lowest that two runs have in common, in [0, 1].
    overlap_random : float
        What unrelated orders share in expectation, ``k / n``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    n_runs: int
    spearman: float
    spearman_low: float
    spearman_high: float
    k: int
    overlap: float
    overlap_random: float

    def __str__(self) -> str:
        return (
            f"over {self.n_runs} runs: Spearman {self.spearman:.3f} "
            f"({self.spearman_low:.3f} to {self.spearman_high:.3f}), "
            f"{self.overlap:.1%} of the {self.k:,} lowest in common ({self.overlap_random:.1%} at random)"
        )


def rank_stability(values: Sequence[npt.ArrayLike] | FloatArray, *, k: int | None = None) -> RankStability:
    r"""Compare the orders that several runs give the same samples.

    Parameters
    ----------
    values : array-like of float, shape (S, n)
        One row of values a run, S >= 2, for the same samples in the same order.
    k : int, optional
        How many of the lowest values of each run to compare; a tenth of the samples (at least one) by default.

    Returns
    -------
    RankStability

    Raises
    ------
    ValueError
        If there are fewer than two runs, lengths differ, values are not finite, or `k` is out of range.

    Notes
    -----
    Ties across the k-th place share it: a sample that ties counts for the share of the tied places that lie
    within the k lowest, and two runs have in common the smaller of its two shares.

    Stability is not truth: a method that ignores the data is perfectly stable.

    Examples
    --------
    >>> rank_stability([[0.1, 0.2, 0.3], [0.1, 0.3, 0.2]], k=1).overlap
    1.0
    """
    rows = _rows_of(values, partial=False)
    n = len(rows[0])
    size = max(1, round(n / 10)) if k is None else whole_number("k", k)
    if not 1 <= size <= n:
        raise ValueError(f"k must be from 1 to the {n} samples, got {k}")
    pairs = list(combinations(range(len(rows)), 2))
    correlations = [rank_correlation(rows[i], rows[j]) for i, j in pairs]
    members = [_membership(row, size) for row in rows]
    overlaps = [np.minimum(members[i], members[j]).sum() / size for i, j in pairs]
    return RankStability(
        n_runs=len(rows),
        spearman=float(np.mean(correlations)),
        spearman_low=float(np.min(correlations)),
        spearman_high=float(np.max(correlations)),
        k=size,
        overlap=float(np.mean(overlaps)),
        overlap_random=size / n,
    )


@dataclass(frozen=True, eq=False)
class ValueDistribution:
    """What `value_distribution` found: one number a sample.

    Attributes
    ----------
    n_runs : int
        Number of value vectors S.
    mean : ndarray of float64, shape (n,)
        The mean over the runs.
    sd : ndarray of float64, shape (n,)
        Standard deviation over the runs (with S - 1), in the unit of the values.
    levels : tuple of float
        What `quantiles` are of.
    quantiles : ndarray of float64, shape (len(levels), n)
        Quantiles over the runs, interpolated linearly.
    share_positive : ndarray of float64, shape (n,)
        Share of the runs in which the sample helps (a value above 0): 0 or 1 where all seeds agree on the sign.
    """

    n_runs: int
    mean: FloatArray
    sd: FloatArray
    levels: tuple[float, ...]
    quantiles: FloatArray
    share_positive: FloatArray

    @property
    def standard_error(self) -> FloatArray:
        """Of the mean, shape (n,): ``sd / sqrt(n_runs)``."""
        return np.asarray(self.sd / self.n_runs**0.5)

    @property
    def signal_share(self) -> float:
        r"""Share of the variance of one run's values that lies between samples, not between runs, in [0, 1].

        The intraclass correlation :math:`\sigma_b^2 / (\sigma_b^2 + \sigma_w^2)` of a one-way random effects
        model: :math:`\sigma_w^2` is the mean variance over runs, :math:`\sigma_b^2` the variance of the means
        less :math:`\sigma_w^2/S`, at least 0. Samples without a value in some run are left out.
        """
        there = ~np.isnan(self.mean)
        within = float((self.sd[there] ** 2).mean())
        between = (
            max(0.0, float(self.mean[there].var(ddof=1)) - within / self.n_runs) if there.sum() > 1 else 0.0
        )
        return between / (between + within) if between > 0 else 0.0

    def __str__(self) -> str:
        there = ~np.isnan(self.mean)
        agreed = float(np.isin(self.share_positive[there], (0.0, 1.0)).mean())
        return (
            f"over {self.n_runs} runs: {self.signal_share:.0%} of the variance is between samples, "
            f"{agreed:.0%} of the {int(there.sum()):,} samples have one sign in all runs"
        )


def value_distribution(
    values: Sequence[npt.ArrayLike] | FloatArray, *, quantiles: Sequence[float] = (0.05, 0.5, 0.95)
) -> ValueDistribution:
    """Say how the value of every sample is spread over several runs.

    Parameters
    ----------
    values : array-like of float, shape (S, n)
        One row of values a run, S >= 2, for the same samples in the same order. A sample without a value (NaN)
        in some run has NaN for all that is found.
    quantiles : sequence of float, default (0.05, 0.5, 0.95)
        Which quantiles to find, in [0, 1].

    Returns
    -------
    ValueDistribution

    Raises
    ------
    TypeError
        If values are no rows of numbers, or quantiles no numbers.
    ValueError
        If there are fewer than two runs, lengths differ, values are infinite, no sample has a value in every
        run, or a quantile is out of range.

    Examples
    --------
    >>> result = dv.compare({"HyDRA": dv.HyDRA(learner)}, X, y, X_val, y_val, seeds=range(5))
    >>> spread = value_distribution(result.values["HyDRA"])
    >>> harmful = spread.quantiles[-1] < 0  # in nearly all runs
    """
    rows = np.stack(_rows_of(values, partial=True))
    if np.isnan(rows).any(axis=0).all():
        raise ValueError("no sample has a value in every run")
    if isinstance(quantiles, str) or not hasattr(quantiles, "__len__") or not len(quantiles):
        raise TypeError(f"quantiles must be a sequence of numbers in [0, 1], got {described(quantiles)}")
    levels = tuple(
        real_number(f"quantiles[{i}]", level, minimum=0.0, maximum=1.0) for i, level in enumerate(quantiles)
    )
    share = np.where(np.isnan(rows).any(axis=0), np.nan, (rows > 0).mean(axis=0))
    return ValueDistribution(
        n_runs=len(rows),
        mean=rows.mean(axis=0),
        sd=rows.std(axis=0, ddof=1),
        levels=levels,
        quantiles=np.quantile(rows, levels, axis=0),
        share_positive=share,
    )


def _rows_of(values: Sequence[npt.ArrayLike] | FloatArray, *, partial: bool) -> list[FloatArray]:
    """Return the values of several runs, checked."""
    if isinstance(values, str | Mapping) or not hasattr(values, "__len__"):
        raise TypeError(f"values must be rows of numbers, shape (S, n), got {described(values)}")
    rows = [check_values(row, partial=partial) for row in values]
    lengths = sorted({len(row) for row in rows})
    if len(rows) < 2:
        raise ValueError(f"stability needs the values of at least two runs, got {len(rows)}")
    if len(lengths) > 1:
        raise ValueError(f"the runs value different numbers of samples: {lengths}")
    return rows


def _membership(values: FloatArray, k: int) -> FloatArray:
    """Return how far each sample is among the k lowest: 1, 0, or a share where it ties for the last places."""
    last = np.partition(values, k - 1)[k - 1]
    inside, tied = values < last, values == last
    return np.asarray(inside + tied * ((k - inside.sum()) / tied.sum()), dtype=np.float64)
