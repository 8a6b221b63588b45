"""How labels err, found from models that know the classes well."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.labels.calibration import fit_pool, one_hot
from dataval.labels.transition import NoiseModel, fit_noise, log_odds_wrong, smoothed, symmetric

N, C = 900, 3


@pytest.fixture(scope="module")
def world():
    """Classes, what an honest model says of them, and labels of which a fifth went to the next class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, N)
    scores = 4.0 * np.eye(C)[y] + rng.normal(size=(N, C))
    return y, scores[None], dv.noise.pair_flips(y, 0.2, seed=0)


def test_pair_flips_are_found_as_such(world):
    y, scores, (given, is_noisy) = world
    model = fit_noise(scores, given)
    expected = 0.8 * np.eye(C) + 0.2 * np.roll(np.eye(C), 1, axis=1)
    np.testing.assert_allclose(
        model.transition, expected, atol=0.06
    )  # 300 labels a row: .023, and what overlaps
    wrong = 1.0 - model.posterior(given)[np.arange(N), given]
    assert wrong.sum() == pytest.approx(is_noisy.sum(), rel=0.1)
    assert (model.posterior(given).argmax(axis=1) == y)[is_noisy].mean() > 0.9


def test_no_errors_are_found_where_there_are_none(world):
    y, scores, _ = world
    model = fit_noise(scores, y)
    assert (1.0 - model.posterior(y)[np.arange(N), y]).mean() < 0.01


def test_even_errors_are_taken_as_even_and_others_as_counted():
    counts = 1000.0 * symmetric(4, 0.2)
    np.testing.assert_allclose(smoothed(counts), symmetric(4, 0.2), atol=1e-3)
    pairs = 1000.0 * (0.8 * np.eye(4) + 0.2 * np.roll(np.eye(4), 1, axis=1))
    assert np.diag(np.roll(smoothed(pairs), -1, axis=1)).min() > 0.19


def test_posterior_is_bayes_rule():
    clean, transition = (
        np.array([[0.7, 0.2, 0.1]]),
        np.array([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.5, 0.5]]),
    )
    found = NoiseModel(transition, clean, clean).posterior(np.array([1]))
    np.testing.assert_allclose(found[0], np.array([0.14, 0.18, 0.05]) / 0.37)
    odds = log_odds_wrong(clean, transition, np.array([1]))
    np.testing.assert_allclose(odds, np.log(0.19 / 0.18))


def test_a_pool_leans_on_the_model_that_knows(world):
    y, scores, _ = world
    noise = np.random.default_rng(1).normal(size=scores.shape)
    pool = fit_pool(np.concatenate([scores, noise]), one_hot(y, C))
    assert pool.shares[0] > 10 * pool.shares[1] >= 0
    np.testing.assert_allclose(np.exp(pool(np.concatenate([scores, noise]))).sum(axis=1), 1.0, atol=1e-5)
