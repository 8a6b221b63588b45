"""Metrics of a ranking against scikit-learn and against all orders of ties."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from dataval.metrics import ranking
from dataval.metrics.ranking import rank_samples


@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("seed", range(5))
def test_areas_are_scikit_learns(seed, decimals):
    rng = np.random.default_rng(seed)
    values, is_noisy = np.round(rng.normal(size=60), decimals), rng.random(60) < 0.3
    counts = rank_samples(values, is_noisy).counts()
    assert ranking.auroc(counts) == pytest.approx(roc_auc_score(is_noisy, -values), rel=1e-12)
    assert ranking.average_precision(counts) == pytest.approx(
        average_precision_score(is_noisy, -values), rel=1e-12
    )


VALUES, IS_NOISY = np.array([1.0, 0.0, 1.0, 1.0, 2.0, 0.0]), np.array([1, 1, 0, 1, 0, 0], dtype=bool)


def all_orders():
    """The noisy samples among the first n, for every order that the values allow, shape (orders, 7)."""
    orders = [order for order in permutations(range(6)) if (np.diff(VALUES[list(order)]) >= 0).all()]
    return np.array([[0, *np.cumsum(IS_NOISY[list(order)])] for order in orders])


def test_expectations_are_means_over_the_orders_of_ties():
    counts = rank_samples(VALUES, IS_NOISY).counts()
    expected = all_orders().mean(axis=0)
    np.testing.assert_allclose(ranking.expected_found(counts, np.arange(7)), expected, rtol=1e-14)
    area = np.trapezoid(expected, dx=1 / 6) / 3
    assert ranking.area_under_recall(counts) == pytest.approx(area, rel=1e-14)
    share, recall = ranking.detection_curve(VALUES, IS_NOISY)
    np.testing.assert_allclose(share, [0, 2 / 6, 5 / 6, 1])
    np.testing.assert_allclose(recall, expected[[0, 2, 5, 6]] / 3)


def test_a_resample_has_as_many_of_each_kind():
    ranked = rank_samples(VALUES, IS_NOISY)
    counts = [ranked.resampled_counts(np.random.default_rng(seed)) for seed in range(20)]
    assert {(c.n_noisy, c.n_samples) for c in counts} == {(3.0, 6.0)} == {(ranked.n_noisy, ranked.n_samples)}
    assert len({tuple(c.noisy) for c in counts}) > 1


@pytest.mark.parametrize(
    ("is_noisy", "message"),
    [
        ([True, False], "6 entries and is_noisy has 2"),
        ([True] * 6, "marks 6 of 6"),
        ([0, 2, 5, 1, 1, 0], "mask of True and False"),
        (np.ones((6, 1), dtype=bool), r"must have shape \(n_train,\)"),
    ],
)
def test_bad_masks_are_named(is_noisy, message):
    with pytest.raises(ValueError, match=message):
        rank_samples(VALUES, is_noisy)
