"""How accurate the values of influence functions are, and whether it is said where they are not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dataval as dv
from dataval.errors import SolverWarning
from dataval.solvers import Arnoldi
from tests.runs import make_learner, make_samples

VALIDATION = make_samples(n=30, seed=2)


@pytest.fixture
def influence(zoo):
    """Make influence functions at the end of one run of a network of 83 parameters, in float64."""
    learner, samples = make_learner(zoo), make_samples(n=60)
    run = learner.train(*samples)
    return lambda **options: dv.InfluenceFunction(learner, **options).fit(*samples, run=run)


@pytest.mark.parametrize("damping", [0.1, 0.003])
def test_rows_average_to_the_score_at_the_default(influence, damping):
    """Both are solved to 1e-7 of their right-hand sides; a small damping multiplies that at most tenfold."""
    method = influence(damping=damping)
    score, exact = method.score(*VALIDATION), influence(solver="exact", damping=damping).score(*VALIDATION)
    tolerance = {"rtol": 0, "atol": 1e-6 * np.abs(exact).max()}
    np.testing.assert_allclose(method.attribute(*VALIDATION).mean(axis=0), score, **tolerance)
    np.testing.assert_allclose(score, exact, **tolerance)
    assert method.diagnostics_["converged"]


def test_a_low_rank_says_what_it_leaves(influence):
    method = influence(solver=Arnoldi(rank=2, n_iterations=10))
    with pytest.warns(
        SolverWarning, match=r"2 eigenvectors that Arnoldi keeps leave a residual of \d+% .*larger rank"
    ):
        found = method.score(*VALIDATION)
    worst = method.diagnostics_["residuals"].max()
    assert worst > 0.05
    assert not method.diagnostics_["converged"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        allowed = influence(solver=Arnoldi(rank=2, n_iterations=10, tolerance=1.01 * worst)).score(*VALIDATION)
        influence(solver=Arnoldi(rank=83, n_iterations=83)).score(*VALIDATION)
    np.testing.assert_array_equal(allowed, found)
