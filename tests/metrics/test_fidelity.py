"""The linear datamodeling score against SciPy and truths made by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from dataval.evaluation import LinearDatamodelingScore, SubsetTruth, linear_datamodeling_score

N = 30


def make_truth(values, n_subsets=50, noise=0.0, seed=0):
    """Subsets of which removing one does exactly the sum of its members' values, plus noise."""
    rng = np.random.default_rng(seed)
    removed = rng.random((n_subsets, len(values))) < 0.2
    return SubsetTruth(removed, removed @ values + noise * rng.normal(size=n_subsets))


def test_equals_scipy():
    values = np.random.default_rng(1).normal(size=N)
    truth = make_truth(values, noise=1.0)
    result = linear_datamodeling_score(values, truth)
    predicted = [values[row].sum() for row in truth.removed]
    assert result.predicted == pytest.approx(predicted, rel=1e-12, abs=1e-12)
    assert result.actual == tuple(truth.changes)
    assert result.score == pytest.approx(spearmanr(predicted, truth.changes).statistic, abs=1e-12)
    assert result.fraction == pytest.approx(truth.removed.mean())
    assert result.n_subsets == 50


def test_true_values_score_one_and_their_opposite_minus_one():
    values = np.random.default_rng(1).normal(size=N)
    truth = make_truth(values)
    assert linear_datamodeling_score(values, truth).score == pytest.approx(1)
    assert linear_datamodeling_score(-values, truth).score == pytest.approx(-1)
    assert linear_datamodeling_score(100 * values, truth).score == pytest.approx(1)


def test_unrelated_values_score_zero_with_the_stated_spread():
    rng = np.random.default_rng(0)
    truth = make_truth(rng.normal(size=N), n_subsets=40)
    scores = []
    for seed in range(400):
        changes = np.random.default_rng(seed).permutation(truth.changes)
        shuffled = SubsetTruth(truth.removed, changes)
        scores.append(spearmanr(truth.removed @ rng.normal(size=N), shuffled.changes).statistic)
    assert np.mean(scores) == pytest.approx(0, abs=0.03)  # four standard errors
    assert np.std(scores) == pytest.approx(1 / np.sqrt(39), rel=0.15)


def test_interval_has_the_spread_of_fresh_subsets():
    values = np.random.default_rng(1).normal(size=N)
    fresh = [linear_datamodeling_score(values, make_truth(values, 60, 1.0, s)).score for s in range(100)]
    low, high = linear_datamodeling_score(
        values, make_truth(values, 60, 1.0, 1000), confidence=0.9
    ).confidence_interval
    assert high - low == pytest.approx(2 * 1.645 * np.std(fresh), rel=0.4)


def test_constant_values_have_no_score():
    truth = make_truth(np.arange(N) - 10.0)
    result = linear_datamodeling_score(np.zeros(N), truth)
    assert np.isnan(result.score)
    assert np.isnan(result.confidence_interval).all()


def test_printed_and_stored():
    values = np.random.default_rng(1).normal(size=N)
    result = linear_datamodeling_score(values, make_truth(values, noise=0.1))
    assert "50 retrainings" in str(result)
    assert LinearDatamodelingScore.model_validate_json(result.model_dump_json()) == result


def test_bad_input_is_refused():
    truth = make_truth(np.arange(N) + 0.0)
    with pytest.raises(ValueError, match=r"shape \(30,\), got \(29,\)"):
        linear_datamodeling_score(np.zeros(29), truth)
    with pytest.raises(ValueError, match="NaN"):
        linear_datamodeling_score(np.full(N, np.nan), truth)
    with pytest.raises(ValueError, match="confidence"):
        linear_datamodeling_score(np.zeros(N), truth, confidence=1.0)
    with pytest.raises(ValueError, match="at least 3"):
        linear_datamodeling_score(np.zeros(N), SubsetTruth(truth.removed[:2], truth.changes[:2]))
