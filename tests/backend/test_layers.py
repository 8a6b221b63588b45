"""Blocks of gradients against the rows that they stand for."""

import numpy as np
import pytest

from dataval.backend.arrays import Arrays
from dataval.backend.layers import (
    LinearGradients,
    LookupGradients,
    PlainGradients,
    compact,
    gradient_of,
    inner_products,
    rows_of,
    slopes_along,
    squared_norms_of,
)

ARRAYS = Arrays()
EXACT = 1e-12  # sums of tens of products of numbers near 1, in float64


def blocks(n, n_positions, order="goi", groups=1, seed=0):
    """A table (5, 2) at 0, a matrix and its bias at 12 and at the end, and scales (2,) at 10."""
    rng = np.random.default_rng(seed)
    inputs, outputs = rng.normal(size=(n, n_positions, groups, 4)), rng.normal(size=(n, n_positions, groups, 3))
    read = rng.integers(0, 5, (n, 6))
    linear = LinearGradients("linear", inputs, outputs, 12, 12 + 12 * groups, order)
    table = LookupGradients("table", read, rng.normal(size=(n, 6, 2)), 5, 0)
    return [linear, table, PlainGradients("scales", rng.normal(size=(n, 2)), 10, is_elementwise=True)]


def slow_rows(found):
    linear, table, scales = found
    rows = np.zeros((len(linear), 12 + 15 * linear.shape[1]))
    for j in range(len(linear)):
        for t in range(linear.shape[0]):
            matrix = np.stack(
                [np.outer(o, i) for o, i in zip(linear.outputs[j, t], linear.inputs[j, t], strict=True)]
            )
            matrix = matrix if linear.order == "goi" else matrix.transpose(2, 0, 1)
            rows[j, 12 : 12 + matrix.size] += matrix.ravel()
            rows[j, 12 + matrix.size :] += linear.outputs[j, t].ravel()
        for row, along in zip(table.indices[j], table.outputs[j], strict=True):
            rows[j, 2 * row : 2 * row + 2] += along
        rows[j, 10:12] = scales.rows[j]
    return rows


@pytest.mark.parametrize("order", ["goi", "igo"])
@pytest.mark.parametrize("n_positions", [1, 7])
@pytest.mark.parametrize("groups", [1, 2])
def test_blocks_stand_for_rows(order, n_positions, groups):
    left, right = blocks(5, n_positions, order, groups), blocks(3, n_positions, order, groups, seed=1)
    rows, others = slow_rows(left), slow_rows(right)
    rng = np.random.default_rng(2)
    weights, vectors = rng.normal(size=5), rng.normal(size=(2, rows.shape[1]))
    np.testing.assert_allclose(rows_of(ARRAYS, left), rows, atol=EXACT)
    np.testing.assert_allclose(gradient_of(ARRAYS, left, weights), weights @ rows, atol=EXACT)
    np.testing.assert_allclose(slopes_along(ARRAYS, left, vectors), vectors @ rows.T, atol=EXACT)
    np.testing.assert_allclose(slopes_along(ARRAYS, left, vectors[0]), rows @ vectors[0], atol=EXACT)
    np.testing.assert_allclose(inner_products(ARRAYS, left, right), rows @ others.T, atol=EXACT)
    np.testing.assert_allclose(squared_norms_of(ARRAYS, left), (rows**2).sum(1), atol=EXACT)
    formed = compact(ARRAYS, left)
    assert len(formed) == len(left) + (n_positions == 7)
    np.testing.assert_allclose(rows_of(ARRAYS, formed), rows, atol=EXACT)
    part = [block.part(slice(1, 3)) for block in left]
    np.testing.assert_allclose(rows_of(ARRAYS, part), rows[1:3], atol=EXACT)


def test_products_are_the_same_in_parts(monkeypatch):
    left, right = blocks(5, 1), blocks(3, 1, seed=1)
    whole = inner_products(ARRAYS, left, right)
    monkeypatch.setattr("dataval.backend.layers._ENTRIES", 7)
    np.testing.assert_allclose(inner_products(ARRAYS, left, right), whole, atol=EXACT)


def test_what_is_not_trained_has_no_place():
    rng = np.random.default_rng(0)
    inputs, outputs = rng.normal(size=(4, 2, 1, 3)), rng.normal(size=(4, 2, 1, 5))
    bias = LinearGradients("bias alone", inputs, outputs, None, 0)
    weight = LinearGradients("weight alone", inputs, outputs, 0)
    assert (bias.spans, weight.spans) == (((0, 5),), ((0, 15),))
    for block in (bias, weight):
        rows = rows_of(ARRAYS, [block])
        vectors = rng.normal(size=(2, rows.shape[1]))
        np.testing.assert_allclose(slopes_along(ARRAYS, [block], vectors), vectors @ rows.T, atol=EXACT)
        np.testing.assert_allclose(inner_products(ARRAYS, [block], [block]), rows @ rows.T, atol=EXACT)
        np.testing.assert_allclose(squared_norms_of(ARRAYS, [block]), (rows**2).sum(1), atol=EXACT)
