"""Partial correlations and baselines against regressions on ranks, and cases worked by hand."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from dataval.evaluation import Baselines, LinearDatamodelingScore, OtherSeeds
from dataval.metrics.context import attainable, baselines
from dataval.metrics.statistics import partial_rank_correlation

RNG = np.random.default_rng(0)
K, N = 40, 25


def left_over(values, given):
    """What a linear regression on the ranks of another variable leaves of ranks."""
    design = np.stack([np.ones(len(given)), rankdata(given)], axis=1)
    ranks = rankdata(values)
    return ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]


def test_partial_correlation_is_that_of_what_regressions_leave():
    given = RNG.integers(0, 6, K).astype(float)  # with ties
    x, y = given + RNG.normal(size=K), given + RNG.normal(size=K)
    expected = pearsonr(left_over(x, given), left_over(y, given)).statistic
    assert partial_rank_correlation(x, y, given) == pytest.approx(expected, abs=1e-12)  # float64


def test_a_constant_holds_nothing_fixed_and_what_it_decides_leaves_nothing():
    x, y = RNG.normal(size=(2, K))
    assert partial_rank_correlation(x, y, np.ones(K)) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert np.isnan(partial_rank_correlation(x, y, 3 * x))
    assert np.isnan(partial_rank_correlation(np.ones(K), y, x))


@pytest.fixture(scope="module")
def removal():
    removed, is_noisy = RNG.random((K, N)) < 0.3, np.arange(N) < 8
    actual = -(removed @ is_noisy.astype(float)) + RNG.normal(size=K)
    return removed, is_noisy, actual


def test_baselines_are_scores_of_the_loss_and_of_the_count(removal):
    removed, is_noisy, actual = removal
    loss, predicted = -RNG.random(N), RNG.normal(size=K)
    found = baselines(predicted, actual, removed, mean_loss=loss, is_noisy=is_noisy)
    counts = [-sum(is_noisy[row]) for row in removed]
    by_loss = [loss[row].sum() for row in removed]
    assert found.noisy_count == pytest.approx(spearmanr(counts, actual).statistic, abs=1e-12)
    assert found.mean_loss == pytest.approx(spearmanr(by_loss, actual).statistic, abs=1e-12)
    of_values = pearsonr(left_over(predicted, counts), left_over(actual, counts)).statistic
    of_loss = pearsonr(left_over(by_loss, counts), left_over(actual, counts)).statistic
    assert found.given_noisy_count == pytest.approx(of_values, abs=1e-12)
    assert found.mean_loss_given_noisy_count == pytest.approx(of_loss, abs=1e-12)


def test_what_is_not_known_is_none(removal):
    removed, is_noisy, actual = removal
    assert baselines(actual, actual, removed) == Baselines()
    assert str(Baselines()) == ""
    counted = baselines(actual, actual, removed, is_noisy=is_noisy)
    assert counted.mean_loss is counted.mean_loss_given_noisy_count is None
    assert counted.given_noisy_count == pytest.approx(1)


def test_a_sample_without_a_loss_counts_for_nothing(removal):
    removed, _, actual = removal
    loss = -RNG.random(N)
    without = np.where(np.arange(N) == 3, np.nan, loss)
    zero = np.where(np.arange(N) == 3, 0.0, loss)
    found = [baselines(actual, actual, removed, mean_loss=each).mean_loss for each in (without, zero)]
    assert found[0] == found[1]


def test_the_attainable_score_is_that_of_what_seeds_share():
    """Outcomes of a common part of variance 3 and one's own of variance 1 correlate by 3/4."""
    rng = np.random.default_rng(0)
    common = np.sqrt(3) * rng.normal(size=20_000)
    one, other = common + rng.normal(size=(2, 20_000))
    r = pearsonr(one, other).statistic
    assert r == pytest.approx(0.75, abs=0.02)  # four standard errors
    assert attainable(r) == pytest.approx(pearsonr(common, one).statistic, abs=0.01)
    assert attainable(-0.2) == 0


SCORE = {
    "score": 0.94,
    "confidence_interval": (0.9, 0.97),
    "confidence": 0.95,
    "predicted": (1.0, 2.0, 4.0),
    "actual": (1.0, 2.0, 3.0),
    "fraction": 0.01,
}


def test_printing_is_short():
    score = LinearDatamodelingScore(
        **SCORE,
        baselines=Baselines(
            mean_loss=0.7, noisy_count=0.8, given_noisy_count=0.95, mean_loss_given_noisy_count=0.4
        ),
        other_seeds=OtherSeeds(seeds=(1, 2), scores=(0.8, 0.6), averaged=(0.9, 0.8), outcome_correlation=0.81),
        loss=2.0,
        accuracy=0.725,
    )
    beside = "mean loss 0.70, counting removed wrong samples 0.80"
    beside += "; with that count held fixed 0.95 (mean loss 0.40)"
    seeds = "outcomes of two seeds correlate 0.81, at best 0.90"
    assert str(score).splitlines() == [
        "linear datamodeling score 0.94 [0.90, 0.97] (3 retrainings without a random 0.01 of the samples)",
        f"  beside it: {beside}",
        f"  other seeds: 0.70 (0.80 0.60), averaged values 0.85; {seeds}",
        "  loss 2, changed by 1 (standard deviation, 0.5 of it); accuracy 0.725",
    ]
    assert LinearDatamodelingScore.model_validate_json(score.model_dump_json()) == score


def test_what_was_saved_before_is_read():
    score = LinearDatamodelingScore(**SCORE)
    known = score.model_dump(include=set(SCORE))
    assert LinearDatamodelingScore.model_validate(known) == score
    assert score.spread == 1  # of 1, 2, 3
    assert score.relative_spread is score.baselines is score.other_seeds is None
    assert "\n" not in str(score)
