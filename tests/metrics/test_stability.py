"""Stability over runs against SciPy, sets and cases worked by hand."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from dataval.evaluation import RankStability, rank_stability, value_distribution


def test_equals_pairwise_spearman_and_set_overlap():
    values = np.random.default_rng(0).normal(size=(4, 60)) + np.linspace(0, 2, 60)
    report = rank_stability(values, k=7)
    pairs = list(combinations(values, 2))
    expected = [spearmanr(a, b).statistic for a, b in pairs]
    assert report.spearman == pytest.approx(np.mean(expected), abs=1e-12)
    assert report.spearman_low == pytest.approx(min(expected), abs=1e-12)
    assert report.spearman_high == pytest.approx(max(expected), abs=1e-12)
    shared = [len({*a.argsort()[:7]} & {*b.argsort()[:7]}) / 7 for a, b in pairs]
    assert report.overlap == pytest.approx(np.mean(shared), rel=1e-12)
    assert report.overlap_random == pytest.approx(7 / 60)
    assert report.n_runs == 4


def test_random_overlap_is_the_mean_over_unrelated_orders():
    rng = np.random.default_rng(0)
    report = rank_stability(rng.normal(size=(60, 50)), k=10)
    # 1,770 pairs with a standard deviation of 0.11 each, which are nearly independent
    assert report.overlap == pytest.approx(report.overlap_random, abs=0.01)
    assert report.spearman == pytest.approx(0.0, abs=0.02)


def test_ties_share_the_last_place():
    # Three samples tie for the second place of the first run: each is in the two lowest by a third.
    report = rank_stability([[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0]], k=2)
    assert report.overlap == pytest.approx((1 + 1 / 3) / 2, rel=1e-12)
    constant = rank_stability([[1.0, 1.0], [1.0, 2.0]], k=1)
    assert constant.overlap == pytest.approx(1 / 2)
    assert np.isnan(constant.spearman)


def test_the_lowest_are_compared_and_not_the_highest():
    assert rank_stability([[1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 3.0, 2.0]], k=1).overlap == 1.0
    assert rank_stability([[1.0, 2.0, 3.0, 4.0], [4.0, 2.0, 3.0, 1.0]], k=1).overlap == 0.0


def test_a_tenth_by_default():
    assert rank_stability(np.random.default_rng(0).normal(size=(2, 40))).k == 4
    assert rank_stability([[1.0, 2.0], [1.0, 2.0]]).k == 1


def test_printed_and_stored():
    report = rank_stability([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]])
    assert "100.0% of the 1 lowest in common (33.3% at random)" in str(report)
    assert RankStability.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("values", "k", "message"),
    [
        ([[1.0, 2.0]], None, "at least two runs"),
        ([[1.0, 2.0], [1.0]], None, r"\[1, 2\]"),
        ([[1.0, np.nan], [1.0, 2.0]], None, "NaN"),
        ([[1.0, 2.0], [1.0, 2.0]], 3, "from 1 to the 2"),
        ([[1.0, 2.0], [1.0, 2.0]], 0, "from 1"),
    ],
)
def test_bad_input_is_refused(values, k, message):
    with pytest.raises(ValueError, match=message):
        rank_stability(values, k=k)


VALUES = np.random.default_rng(3).normal(size=(5, 30)) + 2 * np.random.default_rng(4).normal(size=30)


def test_distribution_is_numpys_sample_by_sample():
    found = value_distribution(VALUES, quantiles=(0.1, 0.9))
    assert found.n_runs == 5
    np.testing.assert_allclose(found.mean, VALUES.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.sd, [np.std(column, ddof=1) for column in VALUES.T], rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, found.sd / np.sqrt(5), rtol=1e-12)
    np.testing.assert_allclose(
        found.quantiles[1], [np.quantile(column, 0.9) for column in VALUES.T], rtol=1e-12
    )
    np.testing.assert_array_equal(found.share_positive, [np.mean(column > 0) for column in VALUES.T])


def test_share_of_the_signal_is_the_models_own():
    """Values with a standard deviation of 2 between samples, and 1 between runs: 4/5."""
    rng = np.random.default_rng(0)
    values = 2 * rng.normal(size=4000) + rng.normal(size=(3, 4000))
    assert value_distribution(values).signal_share == pytest.approx(0.8, abs=0.02)  # four standard errors
    assert value_distribution(rng.normal(size=(3, 4000))).signal_share == pytest.approx(0.0, abs=0.05)
    assert value_distribution(np.ones((2, 4))).signal_share == 0.0


def test_samples_without_a_value_have_no_distribution():
    values = VALUES.copy()
    values[1, 7] = np.nan
    found = value_distribution(values)
    for numbers in (found.mean, found.sd, found.quantiles[0], found.share_positive):
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(numbers)), [7])
    assert "29 samples" in str(found)


@pytest.mark.parametrize(
    ("values", "quantiles", "error", "message"),
    [
        (VALUES[:1], (0.5,), ValueError, "at least two runs"),
        (VALUES, (1.5,), ValueError, r"quantiles\[0\] must be a number of at most"),
        (VALUES, 0.5, TypeError, "sequence of numbers"),
        (VALUES, (), TypeError, "sequence of numbers"),
        ([[np.nan, 1.0], [1.0, np.nan]], (0.5,), ValueError, "no sample has a value in every run"),
        ([[np.inf, 1.0], [1.0, 2.0]], (0.5,), ValueError, "infinite"),
    ],
)
def test_distributions_of_nonsense_are_refused(values, quantiles, error, message):
    with pytest.raises(error, match=message):
        value_distribution(values, quantiles=quantiles)
