"""Numbers that have nothing to do with their predictions, and tails that are only heavy."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.labels.residuals import combined, probability_outlying, spread

N = 2000


def test_wrong_numbers_are_counted_and_heavy_tails_are_not():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=N)
    residuals = 0.1 * rng.standard_t(4, N)
    assert probability_outlying(residuals, targets).sum() < 0.01 * N
    wrong = np.arange(N) < 100
    residuals[wrong] = rng.normal(size=100) * np.sqrt(2)
    found = probability_outlying(residuals, targets)
    assert found.sum() == pytest.approx(100, rel=0.25)
    assert found[wrong].mean() > 0.6 > 0.05 > found[~wrong].mean()


def test_numbers_beyond_all_others_are_wrong():
    """Also where they widen the spread of the numbers so much that it would seem to explain them."""
    rng = np.random.default_rng(0)
    targets = 100 + 30 * rng.normal(size=400)
    residuals = 10 * rng.normal(size=400)
    targets[:3], residuals[:3] = 3000.0, 2900.0
    found = probability_outlying(residuals, targets)
    assert found[:3].min() > 0.95
    assert found[3:].max() < 0.5


def test_spread_is_the_scale_of_a_student():
    residuals = 3.0 * np.random.default_rng(1).standard_t(4, (20_000, 1))
    assert spread(residuals)[0] == pytest.approx(3.0, rel=0.03)  # two standard errors


def test_predictions_of_little_spread_weigh_more():
    targets = np.linspace(0, 1, 100)
    rng = np.random.default_rng(2)
    good, bad = targets + 0.01 * rng.normal(size=100), targets + rng.normal(size=100)
    np.testing.assert_allclose(combined(np.stack([good, bad]), targets), good, atol=1e-3)
