"""What a score of fidelity has to be held against: scores of plain baselines, and of other seeds."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.metrics.statistics import partial_rank_correlation, rank_correlation

__all__ = ["Baselines", "OtherSeeds", "attainable", "baselines"]

FloatArray = npt.NDArray[np.float64]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Baselines(_Frozen):
    """What predicts retraining without any derivative, on the same subsets; part of `LinearDatamodelingScore`.

    Attributes
    ----------
    mean_loss : float or None
        The score of minus the mean training loss of each sample, as `MeanLoss` values it; None where no losses
        are known.
    noisy_count : float or None
        The score of counting the removed samples that are known to be wrong; NaN where every subset holds as
        many. None without ``is_noisy``, as what follows.
    given_noisy_count : float or None
        The score that is left with that count held fixed: the partial rank correlation of predicted and actual
        changes. With many wrong labels in the data, this is what values know beyond which labels are wrong.
    mean_loss_given_noisy_count : float or None
        The same for the mean loss.
    """

    mean_loss: float | None = None
    noisy_count: float | None = None
    given_noisy_count: float | None = None
    mean_loss_given_noisy_count: float | None = None

    def __str__(self) -> str:
        parts = []
        if self.mean_loss is not None:
            parts.append(f"mean loss {self.mean_loss:.2f}")
        if self.noisy_count is not None:
            parts.append(f"counting removed wrong samples {self.noisy_count:.2f}")
        text = f"beside it: {', '.join(parts)}" if parts else ""
        if self.given_noisy_count is not None:
            of_loss = self.mean_loss_given_noisy_count
            beside = "" if of_loss is None else f" (mean loss {of_loss:.2f})"
            text += f"; with that count held fixed {self.given_noisy_count:.2f}{beside}"
        return text


class OtherSeeds(_Frozen):
    """How well values predict trainings with other seeds than their own; part of `LinearDatamodelingScore`.

    Attributes
    ----------
    seeds : tuple of int
        The other seeds.
    scores : tuple of float
        For each of them, the score of the values against what removing the same subsets does to it.
    averaged : tuple of float or None
        For each of them, the score of the mean of the values of all other trainings, the values' own among
        them; None where it was not asked for.
    outcome_correlation : float
        The mean, over all pairs of trainings, of the rank correlation r of what removing the same subsets does.
        No values that don't know a training's seed predict it much better than `attainable`; where r is
        near 0, none are true of every seed.
    """

    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    averaged: tuple[float, ...] | None = None
    outcome_correlation: float

    @property
    def mean(self) -> float:
        """The mean of `scores`."""
        return fmean(self.scores)

    @property
    def averaged_mean(self) -> float | None:
        """The mean of `averaged`."""
        return None if self.averaged is None else fmean(self.averaged)

    @property
    def attainable(self) -> float:
        """About the best score that values can have for a seed that they don't know: the root of r."""
        return attainable(self.outcome_correlation)

    def __str__(self) -> str:
        scores = " ".join(f"{score:.2f}" for score in self.scores)
        averaged = "" if self.averaged_mean is None else f", averaged values {self.averaged_mean:.2f}"
        each = f" ({scores})" if len(self.scores) > 1 else ""
        return (
            f"other seeds: {self.mean:.2f}{each}{averaged}; "
            f"outcomes of two seeds correlate {self.outcome_correlation:.2f}, at best {self.attainable:.2f}"
        )


def attainable(outcome_correlation: float) -> float:
    r"""Return about the best score that values can have for a training whose seed they don't know.

    If an outcome is a part that all seeds share and an independent part of its own seed, two outcomes correlate
    by the share r of the common part's variance, and the common part itself correlates with an outcome by
    :math:`\sqrt r`, the index of reliability of test theory; exact for Pearson's correlation. 0 for negative r.
    """
    return float(np.sqrt(np.maximum(0.0, outcome_correlation)))


def baselines(
    predicted: FloatArray,
    actual: FloatArray,
    removed: npt.NDArray[np.bool_],
    *,
    mean_loss: FloatArray | None = None,
    is_noisy: npt.NDArray[np.bool_] | None = None,
) -> Baselines:
    """Return the scores of what a sum of values is held against.

    Parameters
    ----------
    predicted, actual : ndarray of float64, shape (K,)
        Of the K subsets, the sum of the removed samples' values, and the change of the objective.
    removed : ndarray of bool, shape (K, N)
        The samples that each subset leaves out.
    mean_loss : ndarray of float64, shape (N,), optional
        Minus every sample's mean loss; NaN where there is none, which counts for 0.
    is_noisy : ndarray of bool, shape (N,), optional
        The samples that are known to be wrong.
    """
    weights = removed.astype(np.float64)
    by_loss = None if mean_loss is None else weights @ np.nan_to_num(mean_loss)
    found = {} if by_loss is None else {"mean_loss": rank_correlation(by_loss, actual)}
    if is_noisy is None:
        return Baselines(**found)
    count = -(weights @ is_noisy.astype(np.float64))
    found["noisy_count"] = rank_correlation(count, actual)
    found["given_noisy_count"] = partial_rank_correlation(predicted, actual, count)
    if by_loss is not None:
        found["mean_loss_given_noisy_count"] = partial_rank_correlation(by_loss, actual, count)
    return Baselines(**found)
