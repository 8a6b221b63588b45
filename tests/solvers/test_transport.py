"""Transport by the linear program and by Sinkhorn's iteration: against each other and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.solvers.transport import exact_transport, sinkhorn

N, M = 7, 5
RNG = np.random.default_rng(0)
COSTS = RNG.random((N, M)) + 0.1
A, B = np.full(N, 1 / N), np.full(M, 1 / M)  # no partial sums are equal, so that potentials are unique


def moved(j, step):
    """Masses of which a little was moved from all others to j."""
    direction = np.full(N, -1 / (N - 1))
    direction[j] = 1.0
    return A + step * direction


def entropic(costs, a, b, epsilon):
    """The minimum that Sinkhorn's iteration finds."""
    found = sinkhorn(costs, a, b, epsilon, tolerance=1e-13)
    plan = a[:, None] * b * np.exp((found.source[:, None] + found.target - costs) / epsilon)
    return found.cost + epsilon * (plan * np.log(plan / (a[:, None] * b))).sum()


def test_the_linear_program_against_all_assignments():
    """With equal masses one for one the optimum is an assignment."""
    from scipy.optimize import linear_sum_assignment

    square = RNG.random((6, 6))
    found = exact_transport(square, np.full(6, 1 / 6), np.full(6, 1 / 6))
    assert found.cost == pytest.approx(square[linear_sum_assignment(square)].mean(), rel=1e-9)


def test_potentials_of_the_linear_program_are_derivatives():
    """The optimum is linear in masses that move a little: the difference quotient is exact but for rounding."""
    found, step = exact_transport(COSTS, A, B), 1e-4
    assert (found.source[:, None] + found.target <= COSTS + 1e-9).all()
    assert found.source @ A + found.target @ B == pytest.approx(found.cost, rel=1e-9)
    for j in range(N):
        slope = (exact_transport(COSTS, moved(j, step), B).cost - found.cost) / step
        assert found.source[j] * N / (N - 1) == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("epsilon", [0.5, 0.02])
def test_potentials_with_entropy_are_derivatives(epsilon):
    found, step = sinkhorn(COSTS, A, B, epsilon, tolerance=1e-13), 1e-4
    for j in range(N):
        up, down = (entropic(COSTS, moved(j, sign * step), B, epsilon) for sign in (1, -1))
        assert found.source[j] * N / (N - 1) == pytest.approx(
            (up - down) / 2 / step, abs=1e-5
        )  # step**2 / epsilon


def test_less_entropy_ends_in_the_linear_program():
    exact, errors = exact_transport(COSTS, A, B), []
    for epsilon in (0.1, 0.01, 0.001):
        found = sinkhorn(COSTS, A, B, epsilon, tolerance=1e-9, max_iterations=100_000)
        assert found.error <= 1e-9
        errors.append(np.abs(found.source - exact.source).max())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01
    assert found.cost == pytest.approx(exact.cost, rel=1e-3)


def test_costs_that_would_underflow():
    """exp(-cost / epsilon) is 0 for every pair."""
    found = sinkhorn(COSTS + 1e4, A, B, 0.01, tolerance=1e-8)
    plain = sinkhorn(COSTS, A, B, 0.01, tolerance=1e-8)
    np.testing.assert_allclose(found.source, plain.source, atol=1e-6)
    assert found.cost == pytest.approx(plain.cost + 1e4, rel=1e-9)


def test_too_few_iterations_are_reported():
    found = sinkhorn(COSTS, A, B, 0.001, tolerance=1e-12, max_iterations=20)
    assert found.error > 1e-12
