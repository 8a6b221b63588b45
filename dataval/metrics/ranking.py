"""Metrics of a ranking by ascending value, with ties counted exactly.

Every metric here is a function of two counts: how many noisy and how many clean samples sit at each
distinct value. Samples of one value form a *level*; the order inside a level is unknown, so nothing
may depend on it. Counts make ties exact and a bootstrap resample cheap: resampling changes the
counts and leaves the sorted levels as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataval.metrics.statistics import as_array, check_values

__all__ = [
    "LevelCounts",
    "RankedSamples",
    "area_under_recall",
    "auroc",
    "average_precision",
    "check_mask",
    "detection_curve",
    "expected_found",
    "rank_samples",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RankedSamples:
    """Samples sorted into levels of equal value, lowest first.

    Attributes
    ----------
    levels : ndarray of float64, shape (n_levels,)
        The distinct values, ascending.
    noisy_levels, clean_levels : ndarray of int, shapes (n_noisy,) and (n_clean,)
        The level of each noisy and each clean sample.
    """

    levels: FloatArray
    noisy_levels: IntArray
    clean_levels: IntArray

    @property
    def n_noisy(self) -> int:
        """Number of noisy samples."""
        return len(self.noisy_levels)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.noisy_levels) + len(self.clean_levels)

    def counts(self) -> LevelCounts:
        """Count the noisy and clean samples at each level."""
        return self._count(self.noisy_levels, self.clean_levels)

    def resampled_counts(self, rng: np.random.Generator) -> LevelCounts:
        """Count one stratified bootstrap resample: as many noisy and clean samples as before."""
        noisy = self.noisy_levels[rng.integers(self.n_noisy, size=self.n_noisy)]
        n_clean = len(self.clean_levels)
        return self._count(noisy, self.clean_levels[rng.integers(n_clean, size=n_clean)])

    def _count(self, noisy_levels: IntArray, clean_levels: IntArray) -> LevelCounts:
        n_levels = len(self.levels)
        return LevelCounts.of(
            np.bincount(noisy_levels, minlength=n_levels),
            np.bincount(clean_levels, minlength=n_levels),
        )


@dataclass(frozen=True, eq=False)
class LevelCounts:
    """How many noisy and clean samples each level holds, and their running totals.

    Attributes
    ----------
    noisy, clean : ndarray of float64, shape (n_levels,)
        Samples at each level.
    found, inspected : ndarray of float64, shape (n_levels,)
        Noisy samples, and all samples, at this level and below.
    """

    noisy: FloatArray
    clean: FloatArray
    found: FloatArray
    inspected: FloatArray

    @classmethod
    def of(cls, noisy: npt.NDArray[np.integer], clean: npt.NDArray[np.integer]) -> LevelCounts:
        """Build from integer counts, one entry a level, lowest level first."""
        noisy_float, clean_float = noisy.astype(np.float64), clean.astype(np.float64)
        found = np.cumsum(noisy_float)
        return cls(noisy_float, clean_float, found, found + np.cumsum(clean_float))

    @property
    def n_noisy(self) -> float:
        """Number of noisy samples, the positives."""
        return float(self.found[-1])

    @property
    def n_samples(self) -> float:
        """Number of samples."""
        return float(self.inspected[-1])


def auroc(counts: LevelCounts) -> float:
    """Probability that a noisy sample has a lower value than a clean one; a tie counts one half."""
    n_clean = counts.n_samples - counts.n_noisy
    clean_above = n_clean - (counts.inspected - counts.found)
    wins = counts.noisy @ (clean_above + 0.5 * counts.clean)
    return float(wins / (counts.n_noisy * n_clean))


def average_precision(counts: LevelCounts) -> float:
    """Precision averaged over the noisy samples, each level one threshold (as in scikit-learn)."""
    precision = counts.found / np.maximum(counts.inspected, 1.0)
    return float(counts.noisy @ precision / counts.n_noisy)


def expected_found(counts: LevelCounts, inspected: npt.ArrayLike) -> FloatArray:
    """Noisy samples expected among the `inspected` lowest values, ties in random order.

    A random order inside a level finds its noisy samples at a constant rate, so the expectation is
    the running totals interpolated linearly; so is a fractional number inspected.
    """
    at = np.asarray(inspected, dtype=np.float64)
    totals = np.concatenate(([0.0], counts.inspected))
    found = np.interp(at, totals, np.concatenate(([0.0], counts.found)))
    return np.asarray(found, dtype=np.float64)


def area_under_recall(counts: LevelCounts) -> float:
    """Area under recall against the share inspected: 1/2 at random, 1 - noise rate/2 at best."""
    middle = counts.found - 0.5 * counts.noisy
    return float(middle @ (counts.noisy + counts.clean) / (counts.n_noisy * counts.n_samples))


def detection_curve(values: npt.ArrayLike, is_noisy: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Share of the noisy samples found against the share of all samples inspected.

    Samples are inspected by ascending value; samples of equal value form one straight segment, the
    expectation over their random order.

    Parameters
    ----------
    values : array-like of float, shape (n,)
        Higher helps, negative hurts; the lowest are inspected first.
    is_noisy : array-like of bool, shape (n,)
        True where the sample really is noisy.

    Returns
    -------
    share_inspected, recall : ndarray of float64, shape (n_levels + 1,)
        Both from 0 to 1; `n_levels` is the number of distinct values.

    Raises
    ------
    ValueError
        If the input is not finite, not one-dimensional, of different lengths or of one class.
    """
    counts = rank_samples(values, is_noisy).counts()
    share = np.concatenate(([0.0], counts.inspected)) / counts.n_samples
    return share, np.concatenate(([0.0], counts.found)) / counts.n_noisy


def rank_samples(values: npt.ArrayLike, is_noisy: npt.ArrayLike) -> RankedSamples:
    """Check values and mask, and sort the samples into levels of equal value.

    Raises
    ------
    ValueError
        If the input is not finite, not one-dimensional, of different lengths or of one class.
    """
    checked, mask = check_values(values), check_mask(is_noisy)
    if len(checked) != len(mask):
        raise ValueError(
            f"values has {len(checked)} entries and is_noisy has {len(mask)}; "
            "give one of each for every training sample, in the same order."
        )
    if mask.all() or not mask.any():
        raise ValueError(
            f"is_noisy marks {int(mask.sum())} of {len(mask)} samples; detection needs at least "
            "one noisy and one clean sample."
        )
    levels, level_of = np.unique(checked, return_inverse=True)
    return RankedSamples(levels, level_of[mask], level_of[~mask])


def check_mask(is_noisy: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return a mask of shape (n_train,), or raise `ValueError` if it is none."""
    mask = as_array(is_noisy, "is_noisy")
    if mask.ndim != 1:
        raise ValueError(f"is_noisy must have shape (n_train,), got {mask.shape}.")
    is_binary = mask.dtype == np.bool_ or (mask.dtype.kind in "iu" and bool(np.isin(mask, (0, 1)).all()))
    if not is_binary:
        raise ValueError(
            "is_noisy must be a mask of True and False, one entry a training sample; from indices "
            "build it with: mask = np.zeros(n_train, dtype=bool); mask[indices] = True."
        )
    return mask.astype(np.bool_)
