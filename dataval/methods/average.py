"""The average of what single runs answer, with its standard errors and what the runs agree on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.methods.outcomes import Outcome
from dataval.methods.validation_question import ValidationQuestion
from dataval.metrics.statistics import ranks

__all__ = ["Average"]

FloatArray = NDArray[np.float64]


class Average:
    """The mean over runs so far, of which no more than sums is kept, whatever their number.

    Parameters
    ----------
    question : ValidationQuestion
    plain : Outcome
        What the run with all its weights answers.
    weights : ndarray, shape (N,)
        Of that run.
    include_plain : bool
        Whether the result is the mean of its values and of the average over masked runs.
    """

    def __init__(
        self, question: ValidationQuestion, plain: Outcome, weights: FloatArray, *, include_plain: bool
    ) -> None:
        self._question, self._plain, self._weights = question, plain, weights
        self._share_of_plain = 0.5 if include_plain else 0.0
        self._mean = np.zeros_like(plain.values)
        self._squares = np.zeros_like(plain.values)
        self._of_runs: list[FloatArray] = []
        self._objectives: list[float] = []
        self._removed: list[NDArray[np.bool_]] = []
        self.cotangent_norm, self.stopped_at = plain.cotangent_norm, int(plain.stopped_at)

    @property
    def n_runs(self) -> int:
        """Number of masked runs so far."""
        return len(self._of_runs)

    def add(self, outcome: Outcome, removed: NDArray[np.bool_]) -> None:
        """Take in what the run without some samples ``(N,)`` answers (Welford's recursion)."""
        n = self.n_runs + 1
        shift = outcome.values - self._mean
        mean = self._mean + shift / n
        self._squares = self._squares + shift * (outcome.values - mean)
        self._mean = mean
        self._of_runs.append(self._question.mean(outcome.values))
        self._objectives.append(float(outcome.objective))
        self._removed.append(removed)
        self.cotangent_norm = np.fmax(self.cotangent_norm, outcome.cotangent_norm)
        self.stopped_at = max(self.stopped_at, int(outcome.stopped_at))

    @property
    def values(self) -> FloatArray:
        """The average, shaped as the values of one run."""
        plain = self._share_of_plain
        return plain * self._plain.values + (1 - plain) * self._mean

    def standard_error(self) -> FloatArray:
        """Return the standard error of every value over the masked runs; NaN for fewer than two."""
        n = self.n_runs
        if n < 2:
            return np.full_like(self._mean, np.nan)
        return np.asarray((1 - self._share_of_plain) * np.sqrt(self._squares / (n * (n - 1))))

    def relative_error(self) -> float:
        """Return the median standard error over the spread of the values; of several rows, their median."""
        values, errors = np.atleast_2d(self.values), np.atleast_2d(self.standard_error())
        spread = np.std(values, axis=1)
        if self.n_runs < 2 or not (spread > 0).any():
            return float("nan")
        usable = spread > 0
        return float(np.median(np.median(errors[usable], axis=1) / spread[usable]))

    def diagnostics(self) -> dict[str, Any]:
        """Return what the runs tell of the average, by the names that `HyDRA` documents."""
        of_runs, removed = np.array(self._of_runs), np.array(self._removed)
        plain = self._question.mean(self._plain.values)
        correlations = _rank_correlations(np.vstack([plain, of_runs]))
        pairs = correlations[1:, 1:][np.triu_indices(self.n_runs, 1)]
        return {
            "n_runs": self.n_runs,
            "share_removed": removed.mean(axis=1),
            "standard_error": self.standard_error(),
            "relative_error": self.relative_error(),
            "rank_correlation": float(pairs.mean()) if len(pairs) else float("nan"),
            "rank_correlation_with_plain": correlations[0, 1:],
            "predicted_change": removed @ np.where(self._weights > 0, self._weights * plain, 0.0),
            "actual_change": np.array(self._objectives) - float(self._plain.objective),
        }


def _rank_correlations(rows: FloatArray) -> FloatArray:
    """Return Spearman's correlations of all pairs of rows, over the samples that have values in all of them."""
    known = rows[:, np.isfinite(rows).all(axis=0)]
    if not known.shape[1]:
        return np.full((len(rows), len(rows)), np.nan)
    centred = ranks(known) - (known.shape[1] + 1) / 2
    norms = np.sqrt((centred**2).sum(axis=1))
    scaled = centred / np.where(norms > 0, norms, np.nan)[:, None]
    return np.asarray(scaled @ scaled.T)
