"""Stability over runs against SciPy, sets and cases worked by hand."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from dataval.evaluation import RankStability, rank_stability


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
