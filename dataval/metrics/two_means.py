"""Exact two-means clustering of one-dimensional values, and the F1 that OpenDataVal reports."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataval.metrics.ranking import LevelCounts

__all__ = ["f1_score", "lower_cluster_size", "unit_scaled"]

FloatArray = npt.NDArray[np.float64]


def unit_scaled(levels: FloatArray) -> FloatArray:
    """Shift and scale ascending levels to [0, 1], without overflow; one level alone becomes 0.

    Two-means does not depend on shift or scale, its sums of squares in floating point do. The first
    scaling is by a power of two and so exact.
    """
    exponent = np.frexp(np.abs(levels).max())[1]
    scaled = np.ldexp(levels, -exponent)
    shifted = scaled - scaled[0]
    return np.asarray(shifted / (shifted[-1] or 1.0), dtype=np.float64)


def lower_cluster_size(levels: FloatArray, counts: LevelCounts) -> tuple[float, float]:
    """Size of the lower cluster of the best split in two, and the noisy samples in it.

    In one dimension the optimal clusters are intervals, so the best of all thresholds is the global
    optimum (no random restarts). With n₁ samples of sum s₁ below the threshold, N and S in all, the
    sum of squares between the clusters, which is to be largest, is

        (s₁ − n₁ S/N)² N / (n₁ (N − n₁))

    Parameters
    ----------
    levels : ndarray of float64, shape (n_levels,)
        The distinct values, ascending, scaled by `unit_scaled`.
    counts : LevelCounts
        Samples at each level; levels may be empty, as in a bootstrap resample.

    Returns
    -------
    size, noisy : float
        (0, 0) where all samples have the same value, as no threshold parts them. Of equally good
        thresholds the lowest is taken.
    """
    below = counts.inspected
    sums = np.cumsum(levels * (counts.noisy + counts.clean))
    above = counts.n_samples - below
    parts = (below > 0) & (above > 0)
    if not parts.any():
        return 0.0, 0.0
    excess = sums - below * (sums[-1] / counts.n_samples)
    best = np.argmax(excess**2 / np.where(parts, below * above, np.inf))
    return float(below[best]), float(counts.found[best])


def f1_score(true_positives: float, predicted: float, positives: float) -> float:
    """Harmonic mean of precision and recall, 2 TP / (predicted + positives)."""
    return 2.0 * true_positives / (predicted + positives)
