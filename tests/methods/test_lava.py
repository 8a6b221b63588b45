"""LAVA against the linear program, finite differences of the distance, and data that are out of place."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, SolverWarning
from dataval.solvers.transport import exact_transport, sinkhorn

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(7, 3)), np.array([0, 1, 0, 1, 2, 2, 0])
X_VAL, Y_VAL = RNG.normal(size=(5, 3)), np.array([0, 1, 1, 0, 2])  # 7 and 5: potentials are unique


def even(n):
    return np.full(n, 1 / n)


def by_hand(label_weight, transport):
    """The costs, label by label and pair by pair."""
    d = np.linalg.norm(X[:, None] - X_VAL, axis=2)
    costs = d.copy()
    for j, i in np.ndindex(*d.shape):
        part = d[Y[j] == Y][:, Y_VAL[i] == Y_VAL]
        costs[j, i] += label_weight * transport(part).cost
    return costs


@pytest.mark.parametrize("label_weight", [0.0, 1.0, 3.0])
def test_values_are_minus_what_mass_on_a_sample_adds_to_the_distance(label_weight):
    """Mass is moved from all others; the optimum is linear nearby, so only rounding (of HiGHS) is left."""
    method = dv.LAVA(solver="exact", label_weight=label_weight).fit(X, Y)
    found = method.score(X_VAL, Y_VAL)
    costs = by_hand(label_weight, lambda part: exact_transport(part, even(len(part)), even(part.shape[1])))
    start, step = exact_transport(costs, even(7), even(5)).cost, 1e-4
    assert method.diagnostics_["distance"] == pytest.approx(start, rel=1e-9)
    for j in range(7):
        masses = even(7) - step / 6
        masses[j] = 1 / 7 + step
        slope = (exact_transport(costs, masses, even(5)).cost - start) / step
        assert found[j] == pytest.approx(-slope, abs=1e-7)


def test_values_by_sinkhorn():
    def solved(costs):
        a, b = even(len(costs)), even(costs.shape[1])
        return sinkhorn(costs, a, b, 0.02 * costs.mean(), tolerance=1e-6)

    potentials = solved(by_hand(1.0, solved)).source
    expected = [-(f - np.delete(potentials, j).mean()) for j, f in enumerate(potentials)]
    np.testing.assert_allclose(dv.LAVA().fit(X, Y).score(X_VAL, Y_VAL), expected, rtol=1e-9)


def test_less_regularization_ends_in_the_linear_program():
    exact = dv.LAVA(solver="exact").fit(X, Y).score(X_VAL, Y_VAL)
    near = dv.LAVA(regularization=0.001).fit(X, Y).score(X_VAL, Y_VAL)
    np.testing.assert_allclose(near, exact, atol=0.02 * np.abs(exact).max())


def test_what_is_out_of_place_is_worth_least():
    """Two clusters apart; three samples have the other one's label, one is far from both."""
    y = np.arange(41) % 2
    inputs = 6.0 * y[:, None] + RNG.normal(size=(41, 2))
    y_val = np.arange(20) % 2
    validation = 6.0 * y_val[:, None] + RNG.normal(size=(20, 2))
    y[[4, 9, 30]] ^= 1
    inputs[17] = [-30.0, 30.0]
    values = dv.LAVA().fit(inputs, y).score(validation, y_val)
    assert {*np.argsort(values)[:4]} == {4, 9, 30, 17}
    assert values.sum() == pytest.approx(0, abs=1e-9 * np.abs(values).max())


def test_all_in_one_place():
    np.testing.assert_array_equal(dv.LAVA().fit(np.ones((3, 2)), [0, 1, 1]).score(np.ones((2, 2)), [0, 1]), 0)


def test_a_plan_that_is_not_found_is_reported(monkeypatch):
    monkeypatch.setattr("dataval.methods.lava.sinkhorn", partial(sinkhorn, max_iterations=1))
    monkeypatch.setattr("dataval.methods.lava._TOLERANCE", 1e-15)
    with pytest.warns(SolverWarning, match="of the mass wrong after .* choose a larger regularization"):
        dv.LAVA(label_weight=0).fit(X, Y).score(X_VAL, Y_VAL)


def test_what_it_cannot_do_is_named():
    method = dv.LAVA().fit(X, Y)
    with pytest.raises(TypeError, match="LAVA gives no values for single validation samples: use score"):
        method.attribute(X_VAL, Y_VAL)
    with pytest.raises(InvalidDataError, match="LAVA needs labels as targets y"):
        dv.LAVA().fit(X, Y + 0.5)
    with pytest.raises(InvalidDataError, match="at least two training samples"):
        dv.LAVA().fit(X[:1], Y[:1])
    with pytest.raises(ValueError, match=r"regularization must be at least 0.0001, got 0"):
        dv.LAVA(regularization=0).fit(X, Y)
