"""Exact values of games of a table, against their definitions and axioms."""

from __future__ import annotations

from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import beta as beta_function

import dataval as dv
from dataval.methods.shapley.core import least_core
from dataval.methods.shapley.game import all_coalitions
from tests.games import game_of, rough_gains

N = 5
GAINS = rough_gains(N)
EXACT = {
    "shapley": lambda: dv.DataShapley(None, method="exact"),
    "beta": lambda: dv.BetaShapley(None, alpha=4, beta=2, method="exact"),
    "banzhaf": lambda: dv.DataBanzhaf(None, method="exact"),
    "ame": lambda: dv.AME(None, probabilities=[0.3, 0.8], method="exact"),
    "least core": lambda: dv.LeastCore(None, method="exact"),
}


def values_of(name, gains):
    return EXACT[name]()._estimate(game_of(gains)).values[:, -1]


def by_definition(gains, share):
    """Sum what j adds to every coalition of the others, by its share; the coalitions are named one by one."""
    values = np.zeros(N)
    for j in range(N):
        others = [i for i in range(N) if i != j]
        for size in range(N):
            for chosen in combinations(others, size):
                number = sum(1 << i for i in chosen)
                values[j] += share(size) * (gains[number + (1 << j)] - gains[number])
    return values


SHARES = {
    "beta": lambda k: beta_function(k + 2, N - 1 - k + 4) / beta_function(2, 4),
    "banzhaf": lambda k: 0.5 ** (N - 1),
    "ame": lambda k: (0.3**k * 0.7 ** (N - 1 - k) + 0.8**k * 0.2 ** (N - 1 - k)) / 2,
    "shapley": lambda k: 1 / (N * comb(N - 1, k)),
}


@pytest.mark.parametrize("name", SHARES)
def test_semivalues_are_sums_over_all_coalitions(name):
    # 16 terms of order 1 each: rounding alone.
    np.testing.assert_allclose(values_of(name, GAINS), by_definition(GAINS, SHARES[name]), atol=1e-13)


def test_shapley_is_the_mean_over_all_permutations():
    values = np.zeros(N)
    for order in permutations(range(N)):
        numbers = np.cumsum([0, *(1 << j for j in order)])
        values[list(order)] += np.diff(GAINS[numbers]) / 120
    np.testing.assert_allclose(values_of("shapley", GAINS), values, atol=1e-13)
    uniform = dv.BetaShapley(None, alpha=1, beta=1, method="exact")._estimate(game_of(GAINS)).values[:, -1]
    np.testing.assert_allclose(uniform, values, atol=1e-13)


@pytest.mark.parametrize("name", ["shapley", "least core"])
def test_what_there_is_is_shared_out(name):
    assert values_of(name, GAINS).sum() == pytest.approx(GAINS[-1] - GAINS[0], abs=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_samples_that_do_the_same_have_equal_values(name):
    members = all_coalitions(N)
    gains = np.tanh(members[:, 0] + 0.0 + members[:, 1] + 2.0 * members[:, 2] * members[:, 3] - members[:, 4])
    values = values_of(name, gains)
    # The least core comes from a program that is solved to 1e-9.
    assert values[0] == pytest.approx(values[1], abs=1e-7)
    assert values[2] == pytest.approx(values[3], abs=1e-7)


@pytest.mark.parametrize("name", SHARES)
def test_a_sample_that_does_nothing_has_no_value(name):
    gains = np.tanh(all_coalitions(N)[:, 1:] @ [1.0, -2.0, 0.5, 1.0])
    assert values_of(name, gains)[0] == pytest.approx(0, abs=1e-13)


def test_single_questions_are_answered_at_once():
    several = np.stack([GAINS, rough_gains(N, seed=1)], axis=1)
    found = EXACT["shapley"]()._estimate(game_of(several)).values
    for column, gains in zip(found.T, [*several.T, several.mean(axis=1)], strict=True):
        np.testing.assert_allclose(column, values_of("shapley", gains), atol=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_least_core_is_the_shortest_of_all_with_the_least_subsidy(seed):
    """Against a general solver of nonlinear programs, first for the subsidy, then for the length."""
    gains = rough_gains(N, seed)
    estimate = EXACT["least core"]()._estimate(game_of(gains))
    values, subsidy = estimate.values[:, 0], estimate.notes["epsilon"]
    members, worth = all_coalitions(N)[1:-1].astype(float), (gains - gains[0])[1:-1]
    total = {"type": "eq", "fun": lambda x: x[:N].sum() - (gains[-1] - gains[0])}
    options = {"maxiter": 1000, "ftol": 1e-14}
    least = minimize(
        lambda x: x[N],
        np.append(np.zeros(N), 10.0),
        method="SLSQP",
        constraints=[total, {"type": "ineq", "fun": lambda x: members @ x[:N] + x[N] - worth}],
        options=options,
    )
    assert subsidy == pytest.approx(least.x[N], abs=1e-6)
    shortest = minimize(
        lambda x: x @ x,
        least.x[:N],
        method="SLSQP",
        constraints=[total, {"type": "ineq", "fun": lambda x: members @ x + subsidy + 1e-9 - worth}],
        options=options,
    )
    assert (members @ values + subsidy - worth).min() > -1e-7
    np.testing.assert_allclose(values, shortest.x, atol=1e-4)  # SLSQP stops at about that


def test_least_core_of_a_game_of_nothing():
    values, subsidy = least_core(all_coalitions(3)[1:-1], np.zeros(6), 0.0)
    assert subsidy == 0
    np.testing.assert_array_equal(values, 0)
    values, _ = least_core(all_coalitions(1)[:0], np.zeros(0), 2.0)
    np.testing.assert_array_equal(values, [2.0])
