"""How far values of several training seeds agree with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.checks import described, whole_number
from dataval.metrics.statistics import check_values, rank_correlation

__all__ = ["RankStability", "rank_stability"]

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
    if isinstance(values, str | Mapping) or not hasattr(values, "__len__"):
        raise TypeError(f"values must be rows of numbers, shape (S, n), got {described(values)}")
    rows = [check_values(row) for row in values]
    lengths = sorted({len(row) for row in rows})
    if len(rows) < 2:
        raise ValueError(f"stability needs the values of at least two runs, got {len(rows)}")
    if len(lengths) > 1:
        raise ValueError(f"the runs value different numbers of samples: {lengths}")
    n = lengths[0]
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


def _membership(values: FloatArray, k: int) -> FloatArray:
    """Return how far each sample is among the k lowest: 1, 0, or a share where it ties for the last places."""
    last = np.partition(values, k - 1)[k - 1]
    inside, tied = values < last, values == last
    return np.asarray(inside + tied * ((k - inside.sum()) / tied.sum()), dtype=np.float64)
