"""Agreement with leave-one-out against SciPy and cases worked by hand."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from dataval.evaluation import LeaveOneOutAgreement, leave_one_out_agreement


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("seed", range(3))
def test_correlations_are_those_of_scipy(seed, decimals):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=100)
    values = truth + rng.normal(size=100)
    if decimals is not None:
        values, truth = np.round(values, decimals), np.round(truth, decimals)
    report = leave_one_out_agreement(values, truth)
    assert report.pearson == pytest.approx(pearsonr(values, truth).statistic, abs=1e-12)
    assert report.spearman == pytest.approx(spearmanr(values, truth).statistic, abs=1e-12)


def test_by_hand():
    report = leave_one_out_agreement([0.1, -0.3, 0.2, 0.0, 1.0], [0.2, -0.2, 0.4, 0.0, -1.0])
    assert report.n_samples == 5
    assert report.same_sign == pytest.approx(4 / 5)
    # |0.1|/0.2, |0.1|/0.2, |0.2|/0.4 and |2|/1, the fourth sample having no effect
    assert report.mean_relative_error == pytest.approx((0.5 + 0.5 + 0.5 + 2) / 4, rel=1e-12)
    assert report.median_relative_error == pytest.approx(0.5, rel=1e-12)
    assert report.n_without_effect == 1


def test_zero_agrees_in_sign_with_zero_alone():
    assert leave_one_out_agreement([0.0, 0.0, 1.0], [0.0, 1.0, 0.0]).same_sign == pytest.approx(1 / 3)


def test_perfect_opposite_and_scaled():
    truth = np.array([0.5, -1.0, 2.0, 0.25])
    same = leave_one_out_agreement(truth, truth)
    assert (same.pearson, same.spearman, same.same_sign, same.mean_relative_error) == (1, 1, 1, 0)
    scaled = leave_one_out_agreement(3 * truth, truth)
    assert scaled.pearson == pytest.approx(1, abs=1e-15)
    assert scaled.mean_relative_error == pytest.approx(2)
    opposite = leave_one_out_agreement(-truth, truth)
    assert (opposite.pearson, opposite.same_sign) == (-1, 0)


def test_constants_have_no_correlation_and_no_truth_no_error():
    report = leave_one_out_agreement([1.0, 2.0], [0.0, 0.0])
    assert np.isnan([report.pearson, report.spearman, report.mean_relative_error]).all()
    assert np.isnan(leave_one_out_agreement([1.0, 1.0], [1.0, 2.0]).spearman)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_any_scale(scale):
    values, truth = np.random.default_rng(0).uniform(-1, 1, (2, 50))
    plain, scaled = leave_one_out_agreement(values, truth), leave_one_out_agreement(scale * values, truth)
    assert scaled.pearson == pytest.approx(plain.pearson, abs=1e-12)
    assert scaled.spearman == plain.spearman


def test_printed_and_stored():
    report = leave_one_out_agreement([0.1, -0.3, 0.2], [0.2, -0.2, 0.4])
    assert "same sign 100.0%" in str(report)
    assert LeaveOneOutAgreement.model_validate_json(report.model_dump_json()) == report
    undefined = leave_one_out_agreement([1.0, 2.0], [0.0, 0.0]).model_dump_json()
    assert np.isnan(LeaveOneOutAgreement.model_validate_json(undefined).pearson)


@pytest.mark.parametrize(
    ("values", "truth", "message"),
    [
        ([1.0, np.nan], [np.nan, 2.0], "no sample has both"),
        ([1.0, 2.0], [1.0, np.inf], "infinite"),
        ([1.0], [1.0, 2.0], "1 entries and truth has 2"),
        ([[1.0]], [1.0], "shape"),
        ([], [], "empty"),
    ],
)
def test_bad_input_is_refused(values, truth, message):
    with pytest.raises(ValueError, match=message):
        leave_one_out_agreement(values, truth)
