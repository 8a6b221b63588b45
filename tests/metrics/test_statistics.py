"""Correlations, ranks and intervals against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr, ttest_1samp

from dataval.metrics.statistics import (
    check_values,
    correlation,
    mean_interval,
    rank_correlation,
    ranks,
)


def test_interval_is_students():
    numbers = np.random.default_rng(0).normal(size=7)
    found = mean_interval(numbers, 0.9)
    expected = ttest_1samp(numbers, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-12)
    assert mean_interval([2.0]) == mean_interval([2.0]).model_copy(update={"mean": 2.0})
    assert mean_interval([2.0]).low is None
    assert str(mean_interval([2.0])) == "2.0000"
    assert str(mean_interval([1.0, 3.0])) == "2.0000 [-10.7062, 14.7062]"


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
def test_correlations_are_scipys_at_any_scale(scale):
    left, right = np.round(np.random.default_rng(0).normal(size=(2, 50)), 1)
    assert correlation(scale * left, right) == pytest.approx(pearsonr(left, right).statistic, abs=1e-13)
    assert rank_correlation(scale * left, right) == pytest.approx(spearmanr(left, right).statistic, abs=1e-13)


def test_a_constant_has_no_correlation():
    assert np.isnan(correlation(np.ones(3), np.arange(3.0)))
    assert np.isnan(rank_correlation(np.arange(3.0), np.full(3, 0.1)))


def test_ranks_share_ties():
    np.testing.assert_array_equal(
        ranks(np.array([[3.0, 1.0, 3.0], [0.0, 0.0, -1.0]])), [[2.5, 1, 2.5], [2.5, 2.5, 1]]
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a"], "real numbers, not of dtype"),
        (np.ones((2, 2)), r"must have shape \(n_train,\), got \(2, 2\)"),
        ([], "values must be real numbers|values is empty"),
        ([1.0, np.nan, np.inf], "2 entries that are NaN or infinite .the first at index 1"),
    ],
)
def test_what_is_no_vector_of_numbers_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        check_values(values)
