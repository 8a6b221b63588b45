"""Sampled values of games of a table, against their exact values and their own stated errors."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.methods.shapley.core import violation_bound
from dataval.methods.shapley.game import Game, all_coalitions
from dataval.methods.shapley.prefixes import prefix_gains
from dataval.methods.shapley.regression import least_squares
from dataval.retraining.again import Coalitions
from tests.games import Table, game_of, rough_gains

N = 8
GAINS = rough_gains(N)
ENDLESS = {"tolerance": None}
METHODS = {
    **{
        f"shapley, {method}": (dv.DataShapley, {"method": method, "n_permutations": 240})
        for method in ("random", "antithetic", "stratified")
    },
    "beta": (dv.BetaShapley, {"alpha": 1, "beta": 4, "n_permutations": 240}),
    "beta, stratified": (dv.BetaShapley, {"alpha": 4, "n_permutations": 400, "method": "stratified"}),
    "banzhaf": (dv.DataBanzhaf, {"n_coalitions": 300}),
    "banzhaf, kernel": (dv.DataBanzhaf, {"method": "kernel", "n_coalitions": 300}),
    "ame": (dv.AME, {"n_coalitions": 300}),
    "ame, other probabilities": (dv.AME, {"n_coalitions": 300, "probabilities": [0.5]}),
}


def exact(kind, options):
    kept = {name: options[name] for name in ("alpha", "beta", "probabilities") if name in options}
    return kind(None, method="exact", **kept)._estimate(game_of(GAINS)).values[:, -1]


def estimate(kind, options, seed=0, gains=GAINS):
    return kind(None, **{"tolerance": None} | options, seed=seed)._estimate(game_of(gains))


@pytest.mark.parametrize("name", METHODS)
def test_values_are_within_their_stated_errors(name):
    kind, options = METHODS[name]
    truth = exact(kind, options)
    found = [estimate(kind, options, seed) for seed in range(12)]
    scores = np.array([(each.values[:, -1] - truth) / each.error for each in found])
    # 96 standard scores: a normal one exceeds 3.5 once in 2,000; errors from 30 blocks make that once in 700.
    assert np.abs(scores).max() < 4
    # Their spread is 1: within three of its own standard errors, which are .07 for independent ones.
    assert 0.75 < scores.std() < 1.3


@pytest.mark.parametrize("name", METHODS)
def test_values_converge(name):
    kind, options = METHODS[name]
    truth, count = exact(kind, options), "n_coalitions" if "n_coalitions" in options else "n_permutations"
    off = [
        np.mean(
            [
                np.linalg.norm(estimate(kind, options | {count: n}, seed).values[:, -1] - truth)
                for seed in range(4)
            ]
        )
        for n in (80, 1280)
    ]
    # Sixteen times as many draws: a quarter of the error, give or take what four seeds vary by.
    assert off[1] < 0.45 * off[0]


def test_what_varies_less_has_smaller_errors():
    errors = {
        method: np.linalg.norm(estimate(dv.DataShapley, {"method": method, "n_permutations": 800}).error)
        for method in ("random", "antithetic", "stratified")
    }
    assert errors["antithetic"] < 0.8 * errors["random"]
    assert errors["stratified"] < errors["random"]
    msr, kernel = (
        np.linalg.norm(estimate(dv.DataBanzhaf, {"method": method, "n_coalitions": 400}).error)
        for method in ("msr", "kernel")
    )
    assert kernel < 0.5 * msr


def test_without_interactions_regressions_have_no_error():
    gains = all_coalitions(N) @ np.arange(1.0, N + 1)
    for kind, options in ((dv.AME, {}), (dv.DataBanzhaf, {"method": "kernel"})):
        found = estimate(kind, options | {"n_coalitions": 60}, gains=gains)
        np.testing.assert_allclose(found.values[:, -1], np.arange(1.0, N + 1), atol=1e-10)
        assert found.error.max() < 1e-10


def test_each_coalition_is_trained_on_once():
    game = game_of(GAINS)
    dv.DataShapley(None, **ENDLESS)._estimate(game)
    dv.DataBanzhaf(None, **ENDLESS)._estimate(game)
    asked = game._coalitions.asked
    assert len(asked) == len({*asked}) == game.n_trained <= 2**N


@pytest.mark.parametrize("name", METHODS)
def test_sampling_ends_once_errors_are_small(name):
    kind, options = METHODS[name]
    count = "n_coalitions" if "n_coalitions" in options else "n_permutations"
    found = estimate(kind, options | {"tolerance": 0.2, count: 5000})
    assert found.notes["converged"]
    assert found.relative_error <= 0.2
    assert found.notes[count] < 5000
    again = estimate(kind, options | {count: found.notes[count]})
    np.testing.assert_allclose(again.values, found.values, rtol=1e-9)  # more draws begin with the same
    assert not estimate(kind, options | {"tolerance": 1e-9, count: 80}).notes["converged"]


def test_permutations_come_in_whole_groups():
    for method, n in (("random", 3), ("antithetic", 4), ("stratified", 8)):
        found = estimate(dv.DataShapley, {"method": method, "n_permutations": 3})
        assert found.notes["n_permutations"] == n
        assert found.values[:, -1].sum() == pytest.approx(GAINS[-1] - GAINS[0])


def test_truncation_saves_trainings_and_keeps_the_sum():
    n = 14
    gains = 1 - 0.2 ** all_coalitions(n).sum(axis=1)  # nothing is left to gain after a few samples
    options = {"n_permutations": 40}
    whole = estimate(dv.DataShapley, options, gains=gains)
    short = estimate(dv.DataShapley, options | {"truncation": 0.01}, gains=gains)
    assert short.notes["n_truncated"] > 0
    assert short.values[:, -1].sum() == pytest.approx(gains[-1] - gains[0])
    np.testing.assert_allclose(short.values, whole.values, atol=0.01 / n)


def test_truncated_prefixes_end_where_five_in_a_row_are_near():
    gains = np.minimum(all_coalitions(12).sum(axis=1), 3.0)
    gains[-1] = 3.6
    table = Table(gains)
    orders = np.stack([np.random.default_rng(i).permutation(12) for i in range(300)])
    found, saved = prefix_gains(game_of(table.gains), orders, 0.2)
    rest = np.linspace(3.0, 3.6, 6)  # prefixes of 3 ... 7 are near
    np.testing.assert_allclose(found[:, :, -1], np.tile([0, 1, 2, 3, 3, 3, 3, *rest], (300, 1)), atol=1e-12)
    assert saved == 300 * 4
    whole, none = prefix_gains(game_of(table.gains), orders)
    assert none == 0
    np.testing.assert_array_equal(whole[:, :8], found[:, :8])


class Sum(Coalitions):
    """What coalitions gain is the sum of their members' effects."""

    greater_is_better = True

    def __init__(self, effects):
        self.effects = effects

    def judge(self, kept):
        return (kept @ self.effects)[None, :, None]


def test_lasso_finds_the_few_from_fewer_coalitions_than_samples():
    effects = np.where(np.arange(60) % 30 == 0, 1.0, 0.0)
    found = dv.AME(None, method="lasso", n_coalitions=40)._estimate(Game(Sum(effects), 60, progress=False))
    assert {*np.argsort(found.values[:, 0])[-2:].tolist()} == {0, 30}
    with pytest.raises(ValueError, match="at least 128"):
        dv.AME(None, n_coalitions=40)._removals(60)


def test_lasso_of_many_coalitions():
    n, rng = 14, np.random.default_rng(0)
    gains = all_coalitions(n) @ np.where(np.arange(n) < 2, [1.0], 0.0) + 0.01 * rng.normal(size=2**n)
    many = dv.AME(None, method="lasso", n_coalitions=600)._estimate(game_of(gains))
    truth = dv.AME(None, method="exact")._estimate(game_of(gains)).values[:, 0]
    np.testing.assert_allclose(many.values[:, 0], truth, atol=0.02)  # the noise is .01
    # 14 standard scores
    assert np.abs((many.notes["debiased"] - truth) / many.error).max() < 3.5


def test_violations_of_the_least_core_stay_below_their_bound():
    members, worth = all_coalitions(N)[1:-1], (GAINS - GAINS[0])[1:-1]
    for seed in range(10):
        found = dv.LeastCore(None, n_coalitions=100, seed=seed)._estimate(game_of(GAINS))
        given = members @ found.values[:, 0] + found.notes["epsilon"]
        assert np.mean(given < worth - 1e-7) <= found.notes["violation"] < 0.2
        assert found.values.sum() == pytest.approx(GAINS[-1] - GAINS[0])
        assert np.isnan(found.error).all()
    whole = dv.LeastCore(None, method="exact")._estimate(game_of(GAINS))
    many = dv.LeastCore(None, n_coalitions=4000)._estimate(game_of(GAINS))  # which meets all 254
    np.testing.assert_allclose(many.values, whole.values, atol=1e-6)
    assert violation_bound(5, 8) == 1


def test_regression_is_least_squares_with_errors_for_unequal_noise():
    rng = np.random.default_rng(0)
    truth, found, stated = np.array([1.0, -2.0, 0.5]), [], []
    for _ in range(300):
        design = rng.normal(size=(60, 3))
        targets = design @ truth + np.abs(design[:, 0]) * rng.normal(size=60)
        coefficients, errors = least_squares(design, targets[:, None])
        np.testing.assert_allclose(coefficients[:, 0], np.linalg.lstsq(design, targets)[0], rtol=1e-9)
        found.append(coefficients[:, 0])
        stated.append(errors[:, 0])
    # HC3 errs on the large side by some percent; 300 draws know a spread to 4 %.
    np.testing.assert_allclose(np.mean(stated, axis=0) / np.std(found, axis=0), 1.05, atol=0.15)
    with pytest.raises(ValueError, match="raise n_coalitions"):
        least_squares(np.ones((9, 2)), np.ones((9, 1)))
