"""How good decisions about labels are: which are called wrong, how surely, and what is said instead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

__all__ = ["LabelDecisions", "judge_decisions"]

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BINS = 10


class LabelDecisions(BaseModel):
    """Of what a detector decided, beside the truth; None where it wasn't given.

    Attributes
    ----------
    n_flagged : int or None
        Labels called wrong.
    precision, recall : float or None
        Of those called wrong, how many are (None if none is called so); of those wrong, how many are called so.
    count_error : float or None
        ``n_flagged`` over the number of wrong labels, less 1.
    n_expected : float or None
        The sum of the probabilities.
    expected_count_error : float or None
        That over the number of wrong labels, less 1.
    brier : float or None
        Mean squared difference of probability and truth; the share of wrong labels p, said of every sample,
        gets p (1 - p).
    calibration_error : float or None
        Mean difference, over ten bins of equal width weighted by their samples, of the probability that was
        said and the share that was wrong.
    suggestion_accuracy : float or None
        Of the wrong labels, for how many the true one is suggested.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_flagged: int | None = None
    precision: float | None = None
    recall: float | None = None
    count_error: float | None = None
    n_expected: float | None = None
    expected_count_error: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    suggestion_accuracy: float | None = None

    def __str__(self) -> str:
        """List what is known, one a line."""
        known = {name: value for name, value in self if value is not None}
        return "\n".join(f"{name.replace('_', ' '):<28}{value:>7.3f}" for name, value in known.items())


def judge_decisions(
    is_noisy: Mask,
    *,
    is_wrong: npt.ArrayLike | None = None,
    probability_wrong: npt.ArrayLike | None = None,
    suggested_label: npt.ArrayLike | None = None,
    true_label: npt.ArrayLike | None = None,
) -> LabelDecisions | None:
    """Judge decisions; None where there are none.

    Raises
    ------
    ValueError
        If something has another length than `is_noisy`, probabilities leave [0, 1], or one of suggested and
        true labels is given without the other.
    """
    found: dict[str, float | int | None] = {}
    if (suggested_label is None) != (true_label is None):
        raise ValueError("suggested_label is judged by true_label: give both, or neither.")
    if is_wrong is not None:
        found |= _of_flags(_column("is_wrong", is_wrong, len(is_noisy)).astype(bool), is_noisy)
    if probability_wrong is not None:
        chances = _column("probability_wrong", probability_wrong, len(is_noisy)).astype(np.float64)
        found |= _of_probabilities(chances, is_noisy)
    if suggested_label is not None and true_label is not None:
        suggested = _column("suggested_label", suggested_label, len(is_noisy))
        true = _column("true_label", true_label, len(is_noisy))
        found["suggestion_accuracy"] = float((suggested == true)[is_noisy].mean())
    return LabelDecisions.model_validate(found) if found else None


def _of_flags(is_wrong: Mask, is_noisy: Mask) -> dict[str, float | int | None]:
    n_flagged, n_noisy, n_caught = (int(mask.sum()) for mask in (is_wrong, is_noisy, is_wrong & is_noisy))
    return {
        "n_flagged": n_flagged,
        "precision": n_caught / n_flagged if n_flagged else None,
        "recall": n_caught / n_noisy,
        "count_error": n_flagged / n_noisy - 1.0,
    }


def _of_probabilities(chances: FloatArray, is_noisy: Mask) -> dict[str, float | int | None]:
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError("probability_wrong must lie in [0, 1].")
    bins = np.minimum((chances * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, chances - is_noisy, minlength=_BINS)
    expected = float(chances.sum())
    return {
        "n_expected": expected,
        "expected_count_error": expected / int(is_noisy.sum()) - 1.0,
        "brier": float(((chances - is_noisy) ** 2).mean()),
        "calibration_error": float(np.abs(gaps).sum() / len(chances)),
    }


def _column(name: str, given: npt.ArrayLike, n: int) -> npt.NDArray[np.generic]:
    array = np.asarray(given)
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one entry a sample, got {array.shape}.")
    return array
