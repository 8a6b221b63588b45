"""Two-means in one dimension against a search through all splits."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.metrics.ranking import rank_samples
from dataval.metrics.two_means import f1_score, lower_cluster_size, unit_scaled


def best_split(values, is_noisy):
    """The size of the lower cluster and the noisy samples in it, by the least sum of squares within."""
    order = np.argsort(values)
    values, is_noisy = values[order], is_noisy[order]
    spreads = [
        values[:n].var() * n + values[n:].var() * (len(values) - n)
        for n in range(1, len(values))
        if values[n - 1] < values[n]
    ]
    splits = [n for n in range(1, len(values)) if values[n - 1] < values[n]]
    n = splits[int(np.argmin(spreads))]
    return n, is_noisy[:n].sum()


@pytest.mark.parametrize("decimals", [1, 8])
@pytest.mark.parametrize("seed", range(10))
def test_equals_a_search_through_all_splits(seed, decimals):
    rng = np.random.default_rng(seed)
    values = np.round(np.concatenate([rng.normal(size=20), rng.normal(3, 2, size=9)]), decimals)
    is_noisy = rng.random(29) < 0.4
    ranked = rank_samples(values, is_noisy)
    assert lower_cluster_size(unit_scaled(ranked.levels), ranked.counts()) == best_split(values, is_noisy)


def test_one_value_has_no_threshold():
    ranked = rank_samples([2.0, 2.0, 2.0], [True, False, True])
    assert lower_cluster_size(unit_scaled(ranked.levels), ranked.counts()) == (0.0, 0.0)


def test_scaling_neither_overflows_nor_loses_what_is_small():
    np.testing.assert_array_equal(unit_scaled(np.array([-1.5e308, 0.0, 1.5e308])), [0, 0.5, 1])
    np.testing.assert_array_equal(unit_scaled(np.array([5e-324, 1e-323, 1.5e-323])), [0, 0.5, 1])
    np.testing.assert_array_equal(unit_scaled(np.array([7.0])), [0])


def test_f1_is_the_harmonic_mean():
    precision, recall = 3 / 5, 3 / 8
    assert f1_score(3, 5, 8) == pytest.approx(2 / (1 / precision + 1 / recall))
