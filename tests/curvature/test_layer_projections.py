"""Layer-wise projections against Kronecker products of their matrices, and against rows that are formed."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.backend.arrays import Arrays
from dataval.backend.layers import LinearGradients, LookupGradients, PlainGradients, rows_of
from dataval.curvature.layer_projections import LayerProjections, principal_factors, random_factors

ARRAYS = Arrays()
EXACT = 1e-11  # sums of tens of products of numbers near 1, in float64


def blocks(n, n_positions=3, order="goi", groups=1, bias=True, seed=0):
    """A table (9, 5) at 0, scales (30,) at 45, a matrix (groups, 6, 8) at 75 and its bias at the end."""
    rng = np.random.default_rng(seed)
    inputs, outputs = rng.normal(size=(n, n_positions, groups, 8)), rng.normal(size=(n, n_positions, groups, 6))
    read = rng.integers(0, 9, (n, 4))
    return [
        LinearGradients("linear", inputs, outputs, 75, 75 + 48 * groups if bias else None, order),
        LookupGradients("table", read, rng.normal(size=(n, 4, 5)), 9, 0),
        PlainGradients("scales", rng.normal(size=(n, 30)), 45),
    ]


def compression(found, rank, factors=None):
    factors = random_factors(found, rank, 7) if factors is None else factors
    return LayerProjections(found, factors, rank, 7, {})


@pytest.mark.parametrize("order", ["goi", "igo"])
@pytest.mark.parametrize("n_positions", [1, 40])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rank", [2, 6, 7])
def test_layers_are_projected_as_their_gradients_would_be(order, n_positions, bias, rank):
    found = blocks(5, n_positions, order, bias=bias)
    projected = compression(found, rank)
    rows = rows_of(ARRAYS, found)
    kept = projected.rows(ARRAYS, found)
    assert kept.shape == (5, projected.size)
    np.testing.assert_allclose(projected.vectors(rows), kept, atol=EXACT)
    factors = random_factors(found, rank, 7)
    inputs, outputs = factors.get("0.inputs", np.eye(8 + bias)), factors.get("0.outputs", np.eye(6))
    ones = np.ones((5, n_positions, 1 if bias else 0))
    a, delta = np.concatenate([found[0].inputs[:, :, 0], ones], axis=2), found[0].outputs[:, :, 0]
    slow = np.einsum("qo,jto,jti,pi->jqp", outputs, delta, a, inputs).reshape(5, -1)
    np.testing.assert_allclose(kept[:, : slow.shape[1]], slow, atol=EXACT)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_rank_that_is_large_enough_keeps_all_inner_products(groups):
    left, right = blocks(5, groups=groups), blocks(4, groups=groups, seed=1)
    projected = compression(left, 11)
    found = projected.rows(ARRAYS, left) @ projected.rows(ARRAYS, right).T
    np.testing.assert_allclose(found, rows_of(ARRAYS, left) @ rows_of(ARRAYS, right).T, atol=EXACT)


def test_parts_of_the_samples_give_the_same():
    found = blocks(6)
    projected = compression(found, 3)
    parts = [projected.rows(ARRAYS, [b.part(rows) for b in found]) for rows in (slice(0, 1), slice(1, 6))]
    np.testing.assert_allclose(np.concatenate(parts), projected.rows(ARRAYS, found), atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_principal_matrices_are_eigenvectors_of_the_kronecker_factors(bias):
    found = blocks(20, bias=bias)
    halves = [[b.part(rows) for b in found] for rows in (slice(0, 7), slice(7, 20))]
    factors = principal_factors(ARRAYS, halves, 2, 7)
    a, delta = found[0].inputs[:, :, 0], found[0].outputs[:, :, 0]
    a = np.concatenate([a, np.ones((20, 3, 1 if bias else 0))], axis=2)
    for matrix, positions in ((factors["0.inputs"], a), (factors["0.outputs"], delta)):
        moment = np.einsum("jti,jtk->ik", positions, positions)
        sizes = np.linalg.eigvalsh(moment)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=EXACT)
        np.testing.assert_allclose(np.diag(matrix @ moment @ matrix.T), sizes[::-1][:2], rtol=1e-9)


def test_principal_matrices_lose_nothing_where_gradients_are_of_low_rank():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(10, 3, 1, 2)) @ rng.normal(size=(2, 8))
    outputs = rng.normal(size=(10, 3, 1, 2)) @ rng.normal(size=(2, 6))
    found = [LinearGradients("linear", inputs, outputs, 0)]
    projected = compression(found, 2, principal_factors(ARRAYS, [found], 2, 7))
    kept, rows = projected.rows(ARRAYS, found), rows_of(ARRAYS, found)
    np.testing.assert_allclose(kept @ kept.T, rows @ rows.T, rtol=1e-9)
    assert projected.size == 4


def test_inner_products_are_kept_on_average():
    """The mean over 300 seeds errs by less than 4 of its standard errors."""
    left, right = blocks(1), blocks(1, seed=1)
    truth = float((rows_of(ARRAYS, left) @ rows_of(ARRAYS, right).T)[0, 0])
    found = []
    for seed in range(300):
        projected = LayerProjections(left, random_factors(left, 3, seed), 3, seed, {})
        found.append(float((projected.rows(ARRAYS, left) @ projected.rows(ARRAYS, right).T)[0, 0]))
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / np.sqrt(300)
