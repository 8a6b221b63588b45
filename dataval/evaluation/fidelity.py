"""How well values predict retraining without many samples at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.stats import rankdata

from dataval.evaluation.agreement import rank_correlation
from dataval.evaluation.ranking import check_values
from dataval.evaluation.subsets import SubsetTruth

__all__ = ["LinearDatamodelingScore", "linear_datamodeling_score"]

FloatArray = npt.NDArray[np.float64]

_N_BOOTSTRAP = 2000


class LinearDatamodelingScore(BaseModel):
    """How well the sum of the removed samples' values predicts what removing them does.

    Attributes
    ----------
    score : float
        Spearman's correlation of `predicted` and `actual` over the subsets, in [-1, 1]; NaN if one of them is
        constant.
    confidence_interval : (float, float)
        Percentile bootstrap over the subsets.
    confidence : float
        Its level.
    predicted : tuple of float
        For each subset, the sum of the removed samples' values.
    actual : tuple of float
        For each subset, the objective after training without it, minus that after training on everything.
    fraction : float
        Share of the samples removed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    score: float
    confidence_interval: tuple[float, float]
    confidence: float
    predicted: tuple[float, ...]
    actual: tuple[float, ...]
    fraction: float

    @property
    def n_subsets(self) -> int:
        """Number of retrainings."""
        return len(self.actual)

    def __str__(self) -> str:
        low, high = self.confidence_interval
        return (
            f"linear datamodeling score {self.score:.2f} [{low:.2f}, {high:.2f}] "
            f"({self.n_subsets} retrainings without a random {self.fraction:.3g} of the samples)"
        )


def linear_datamodeling_score(
    values: npt.ArrayLike, truth: SubsetTruth, *, confidence: float = 0.95, seed: int = 0
) -> LinearDatamodelingScore:
    r"""Compare values with retraining on random subsets.

    .. math:: \mathrm{LDS} = \rho_{\mathrm{Spearman}}\Big(\sum_{j\in S_k}\mathrm{value}_j,\;
              F(\text{trained without } S_k) - F(\text{trained on all})\Big)_{k=1\ldots K}

    Values need no unit, as only the order of the sums counts. Values of another library will do, higher meaning
    more helpful.

    Parameters
    ----------
    values : array-like of float, shape (N,)
        Values to judge: higher helps.
    truth : SubsetTruth
        What removing K subsets did: `retrain_subsets`, or `SubsetTruth.load`.
    confidence : float, default 0.95
        Level of the bootstrap interval.
    seed : int, default 0
        Draws the bootstrap.

    Returns
    -------
    LinearDatamodelingScore

    Raises
    ------
    ValueError
        If the values are not finite or not one for each of the truth's samples, there are fewer than three
        subsets, or `confidence` is out of range.

    Notes
    -----
    A random order scores 0 in expectation, with a standard deviation of about ``1 / sqrt(K - 1)`` from one
    draw of K subsets to another.

    References
    ----------
    Park, Georgiev, Ilyas, Leclerc & Madry (2023). TRAK: Attributing model behavior at scale. ICML.

    Examples
    --------
    >>> truth = dv.evaluation.retrain_subsets(learner, X, y, X_val, y_val, run=hydra.run_)
    >>> print(dv.evaluation.linear_datamodeling_score(values, truth))
    """
    checked = check_values(values)
    if len(checked) != truth.n_samples:
        raise ValueError(f"values must have shape ({truth.n_samples},), got {checked.shape}")
    if len(truth) < 3:
        raise ValueError(f"a correlation needs at least 3 subsets, the truth holds {len(truth)}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    predicted = truth.removed @ checked
    return LinearDatamodelingScore(
        score=rank_correlation(predicted, truth.changes),
        confidence_interval=_bootstrap(predicted, truth.changes, confidence, seed),
        confidence=confidence,
        predicted=tuple(predicted.tolist()),
        actual=tuple(truth.changes.tolist()),
        fraction=truth.fraction,
    )


def _bootstrap(predicted: FloatArray, actual: FloatArray, confidence: float, seed: int) -> tuple[float, float]:
    """Percentile interval of the rank correlation over resampled subsets."""
    draws = np.random.default_rng([seed, 3]).integers(0, len(actual), (_N_BOOTSTRAP, len(actual)))
    left, right = rankdata(predicted[draws], axis=1), rankdata(actual[draws], axis=1)
    left, right = left - left.mean(1, keepdims=True), right - right.mean(1, keepdims=True)
    scale = np.sqrt((left**2).sum(1) * (right**2).sum(1))
    found = (left * right).sum(1)[scale > 0] / scale[scale > 0]
    if not len(found):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)
