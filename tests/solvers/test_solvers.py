"""Solvers on small dense matrices, against NumPy's own solution."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.errors import SolverDivergedError
from dataval.solvers import Arnoldi, ConjugateGradient, Exact, Identity, LiSSA, as_solver

P, K = 12, 5


class Dense:
    """A symmetric matrix with given eigenvalues, counting its products."""

    def __init__(self, eigenvalues):
        rng = np.random.default_rng(0)
        rotation, _ = np.linalg.qr(rng.normal(size=(P, P)))
        self.matrix = rotation * eigenvalues @ rotation.T
        self.size, self.n_products = P, 0
        self.right = rng.normal(size=(K, P))

    def __call__(self, vectors):
        self.n_products += len(vectors)
        return vectors @ self.matrix

    def fisher_diagonal(self):
        return np.abs(np.diag(self.matrix))

    def solved(self):
        return np.linalg.solve(self.matrix, self.right.T).T


SPECTRUM = np.linspace(0.5, 4, P)
TIGHT = {
    "exact": Exact(),
    "cg": ConjugateGradient(tolerance=1e-9),
    "preconditioned": ConjugateGradient(tolerance=1e-9, preconditioner="fisher"),
    "own_preconditioner": ConjugateGradient(tolerance=1e-9, preconditioner=lambda r: 2 * r),
    "lissa": LiSSA(tolerance=1e-9),
    "arnoldi": Arnoldi(rank=P, n_iterations=P),
}


@pytest.mark.parametrize("name", TIGHT)
def test_converges_to_the_solution(name):
    matrix = Dense(SPECTRUM)
    right = matrix.right.copy()
    right[2] = 0  # nothing to solve, and no division by its norm
    found = TIGHT[name].prepare(matrix).apply(right)
    expected = np.linalg.solve(matrix.matrix, right.T).T
    # A residual of 1e-9 times a condition number of 8.
    np.testing.assert_allclose(found.vectors, expected, atol=1e-8 * np.abs(expected).max())
    assert found.problem == ""
    assert found.residuals.shape == (K,)
    np.testing.assert_allclose(found.residuals, 0, atol=1e-8)


@pytest.mark.parametrize("name", ["cg", "lissa"])
def test_reported_residuals_are_true(name):
    matrix = Dense(SPECTRUM)
    solver = {"cg": ConjugateGradient(tolerance=1e-2), "lissa": LiSSA(tolerance=1e-2)}[name]
    found = solver.prepare(matrix).apply(matrix.right)
    rest = matrix.right - found.vectors @ matrix.matrix
    true = np.linalg.norm(rest, axis=1) / np.linalg.norm(matrix.right, axis=1)
    np.testing.assert_allclose(found.residuals, true, rtol=1e-9)
    assert (true <= 1e-2).all()


def test_right_hand_sides_do_not_disturb_each_other():
    matrix = Dense(SPECTRUM)
    for solver in (ConjugateGradient(tolerance=1e-3), LiSSA(tolerance=1e-3)):
        inverse = solver.prepare(matrix)
        together = inverse.apply(matrix.right).vectors
        each = np.concatenate([inverse.apply(row[None]).vectors for row in matrix.right])
        np.testing.assert_allclose(together, each, rtol=1e-10)


def test_conjugate_gradients_stop_at_convergence():
    """In exact arithmetic three distinct eigenvalues take three iterations."""
    matrix = Dense(np.repeat([1.0, 2.0, 5.0], P // 3))
    found = ConjugateGradient(tolerance=1e-8).prepare(matrix).apply(matrix.right)
    assert found.iterations == 3
    assert matrix.n_products == 3 * K


def test_limits_of_iterations_are_reported():
    matrix = Dense(np.geomspace(1e-3, 1, P))
    for solver in (ConjugateGradient(tolerance=1e-8, max_iterations=3), LiSSA(max_iterations=3)):
        found = solver.prepare(matrix).apply(matrix.right)
        assert found.iterations == 3
        assert "did not converge" in found.problem
        assert (found.residuals > 1e-2).any()


def test_negative_curvature_is_reported():
    matrix = Dense(np.concatenate([[-1.0], SPECTRUM[1:]]))
    assert "negative curvature" in ConjugateGradient().prepare(matrix).apply(matrix.right).problem
    exact = Exact().prepare(matrix).apply(matrix.right)
    assert "no minimum" in exact.problem
    np.testing.assert_allclose(exact.vectors, matrix.solved(), rtol=1e-8)


def test_a_singular_matrix_is_reported():
    matrix = Dense(np.concatenate([[0.0], SPECTRUM[1:]]))
    assert "singular" in Exact().prepare(matrix).apply(matrix.right).problem


@pytest.mark.parametrize(
    ("solver", "eigenvalues"),
    [(LiSSA(), np.concatenate([[-2.0], SPECTRUM[1:]])), (LiSSA(scale=1.0), SPECTRUM)],
    ids=["indefinite", "small_scale"],
)
def test_lissa_diverges_loudly(solver, eigenvalues):
    matrix = Dense(eigenvalues)
    with pytest.raises(SolverDivergedError, match="diverged"):
        solver.prepare(matrix).apply(matrix.right)


def test_lissa_scale_is_above_the_largest_eigenvalue():
    matrix = Dense(np.geomspace(1e-2, 30, P))
    assert 30 < LiSSA().prepare(matrix)._scale < 40


def test_arnoldi_keeps_the_leading_eigenvectors():
    eigenvalues = np.concatenate([np.full(P - 3, 1e-3), [-7.0, 5.0, 9.0]])
    matrix = Dense(eigenvalues)
    values, vectors = np.linalg.eigh(matrix.matrix)
    kept = np.argsort(-np.abs(values))[:3]
    expected = matrix.right @ vectors[:, kept] / values[kept] @ vectors[:, kept].T
    found = Arnoldi(rank=3, n_iterations=P).prepare(matrix).apply(matrix.right)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-9)


def test_arnoldi_survives_an_exhausted_space():
    matrix = Dense(np.full(P, 2.0))
    found = Arnoldi(rank=P, n_iterations=P).prepare(matrix).apply(matrix.right)
    np.testing.assert_allclose(found.vectors, matrix.right / 2, rtol=1e-10)


def test_identity():
    matrix = Dense(SPECTRUM)
    np.testing.assert_array_equal(Identity().prepare(matrix).apply(matrix.right).vectors, matrix.right)
    assert matrix.n_products == 0


def test_names_and_options():
    assert as_solver("cg") == ConjugateGradient()
    assert as_solver(Exact(max_parameters=3)).max_parameters == 3
    with pytest.raises(ValueError, match=r"arnoldi.*cg.*exact"):
        as_solver("newton")
    with pytest.raises(TypeError, match="name or one of"):
        as_solver(3)
    with pytest.raises(ValueError, match=r"20000 x 20000.*3.2 GB.*max_parameters"):
        Exact().check_size(20_000)
