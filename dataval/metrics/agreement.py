"""How far values agree with leave-one-out retraining, sample by sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.metrics.statistics import check_values, correlation, rank_correlation

__all__ = ["LeaveOneOutAgreement", "leave_one_out_agreement", "paired"]

FloatArray = npt.NDArray[np.float64]


class LeaveOneOutAgreement(BaseModel):
    """What `leave_one_out_agreement` found; printable, and JSON by `model_dump_json`.

    Attributes
    ----------
    n_samples : int
        Samples compared: those that have a value and a truth.
    n_without : int
        Samples without a value or a truth (NaN), such as those that no run left out.
    pearson, spearman : float
        Correlations of values and of ranks, in [-1, 1]; chance gives 0; NaN where one side is constant.
    same_sign : float
        Share of the samples on whose sign both agree, in [0, 1]; 0 agrees with 0 alone. Chance gives about
        1/2, more where most of the truth has one sign.
    mean_relative_error : float
        Mean of ``|value - truth| / |truth|`` over the samples with a truth other than 0; NaN if there is none.
        Values of 0 score 1, so a method that ranks only has to beat no such number.
    median_relative_error : float
        Its median, which a truth near 0 does not dominate.
    n_without_effect : int
        Samples whose truth is exactly 0, left out of the relative errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    n_samples: int
    n_without: int = 0
    pearson: float
    spearman: float
    same_sign: float
    mean_relative_error: float
    median_relative_error: float
    n_without_effect: int

    def __str__(self) -> str:
        of_all = f" of {self.n_samples + self.n_without:,}" if self.n_without else ""
        return (
            f"agreement with leave-one-out over {self.n_samples:,}{of_all} samples: "
            f"Pearson {self.pearson:.3f}, Spearman {self.spearman:.3f}, same sign {self.same_sign:.1%}, "
            f"relative error {self.mean_relative_error:.3g} (mean), {self.median_relative_error:.3g} (median)"
        )


def leave_one_out_agreement(values: npt.ArrayLike, truth: npt.ArrayLike) -> LeaveOneOutAgreement:
    r"""Compare values with what leaving each sample out really did.

    With values :math:`v_j` and truth :math:`u_j`: Pearson's and Spearman's correlation, the share of samples
    with :math:`\operatorname{sign} v_j = \operatorname{sign} u_j`, and the mean of
    :math:`|v_j - u_j| / |u_j|`: the figures of HyDRA's paper. Correlations don't depend on the scale of the
    values, the relative error does: a method without the truth's unit can agree perfectly and be off by any
    factor.

    Parameters
    ----------
    values : array-like of float, shape (n,)
        Values to judge: higher helps. Of any library.
    truth : array-like of float, shape (n,)
        For the same samples, the objective after training without each, minus that after training on all: the
        values of `dataval.LeaveOneOut`. Samples where either is NaN, such as those that no run left
        out, are not compared; the result says how many were.

    Returns
    -------
    LeaveOneOutAgreement

    Raises
    ------
    ValueError
        If either holds infinity, is not of shape (n,), they differ in length, or no sample has both.

    Notes
    -----
    The effect of one sample among thousands is often no larger than what rounding does to a chaotic training
    run. Where leave-one-out itself is that noisy nothing agrees with it: judge by
    `linear_datamodeling_score`, which removes many samples at a time.

    Examples
    --------
    >>> leave_one_out_agreement([0.1, -0.3, 0.2], [0.2, -0.2, 0.4]).same_sign
    1.0
    """
    found, true, n_without = paired(values, truth)
    effect = true != 0
    errors = np.abs(found - true)[effect] / np.abs(true[effect])
    return LeaveOneOutAgreement(
        n_samples=len(true),
        n_without=n_without,
        pearson=correlation(found, true),
        spearman=rank_correlation(found, true),
        same_sign=float(np.mean(np.sign(found) == np.sign(true))),
        mean_relative_error=float(errors.mean()) if len(errors) else float("nan"),
        median_relative_error=float(np.median(errors)) if len(errors) else float("nan"),
        n_without_effect=int((~effect).sum()),
    )


def paired(values: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[FloatArray, FloatArray, int]:
    """Return values and truth of the samples that have both, and how many have not.

    Raises
    ------
    ValueError
        If either holds infinity, is not of shape (n,), they differ in length, or no sample has both.
    """
    found, true = check_values(values, partial=True), check_values(truth, "truth", partial=True)
    if len(found) != len(true):
        raise ValueError(
            f"values has {len(found)} entries and truth has {len(true)}; give one of each for every sample"
        )
    both = ~(np.isnan(found) | np.isnan(true))
    if not both.any():
        raise ValueError("no sample has both a value and a truth: they are NaN for one another's samples")
    return found[both], true[both], int((~both).sum())
