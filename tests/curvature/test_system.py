"""The linear system of influence functions against dense linear algebra."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dataval.curvature.system import LinearSystem
from dataval.solvers import ConjugateGradient, Exact

P, N, SCALE = 9, 300, 0.125
RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(P, P))
MATRIX = ROOT @ ROOT.T + np.eye(P)
GRADIENTS = RNG.normal(size=(N, P))


class Operator:
    size = P

    def __call__(self, vectors):
        return vectors @ MATRIX

    def fisher_diagonal(self):
        return np.diag(MATRIX)


SAMPLES = SimpleNamespace(
    n=N,
    n_parameters=P,
    slopes=lambda vectors: vectors @ GRADIENTS.T,
    gradients=lambda at: GRADIENTS[at],
    numpy=np.asarray,
)


def system(solver):
    return LinearSystem(solver, Operator(), SAMPLES, SCALE)


def test_values():
    vectors = RNG.normal(size=(4, P))
    expected = SCALE * vectors @ np.linalg.inv(MATRIX) @ GRADIENTS.T
    np.testing.assert_allclose(system(Exact()).values([vectors[:1], vectors[1:]]), expected, rtol=0, atol=1e-12)


def test_own_answers_for_more_samples_than_a_block_holds():
    found = system(Exact())
    energies, norms = found.own()
    solved = GRADIENTS @ np.linalg.inv(MATRIX)
    np.testing.assert_allclose(energies, (GRADIENTS * solved).sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(norms, np.linalg.norm(solved, axis=1), rtol=1e-10)
    blocks = list(found.blocks(N))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), np.arange(N))


def test_diagnostics_are_those_of_all_questions():
    found = system(ConjugateGradient(tolerance=1e-8))
    assert found.diagnostics() == {"residuals": pytest.approx(np.empty(0)), "iterations": 0, "converged": True}
    found.values([np.eye(P)[:2]])
    found.values([np.eye(P)[:3]])
    assert found.diagnostics()["residuals"].shape == (5,)
    assert found.diagnostics()["residuals"].max() <= 1e-8
    assert 0 < found.diagnostics()["iterations"] <= P + 3
    assert found.diagnostics()["converged"]


def test_what_does_not_converge_is_kept():
    found = system(ConjugateGradient(tolerance=1e-12, max_iterations=1))
    found.values([np.eye(P)[:2]])
    assert not found.diagnostics()["converged"]
    assert "did not converge" in next(iter(found.problems))
    own = system(ConjugateGradient(tolerance=1e-12, max_iterations=1))
    own.own()
    assert own.problems
