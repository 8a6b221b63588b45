"""The damped inverse against a dense one, on either side of the crossing from k x k to N x N."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.curvature import gram
from dataval.curvature.gram import DampedGram
from dataval.errors import InvalidDataError


def made(rows, weights, damping, share=0.1):
    return DampedGram(lambda start, stop: rows[start:stop], rows.shape, weights, 0.3, damping, share)


@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (9, 9)])
@pytest.mark.parametrize("damping", [0.2, None])
def test_equals_a_dense_inverse(shape, damping, monkeypatch):
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=shape), rng.uniform(0.5, 2, shape[0])
    weights[2] = 0.0
    vectors = rng.normal(size=(4, shape[1]))
    moment = 0.3 * (rows * weights[:, None]).T @ rows
    added = 0.1 * np.trace(moment) / min(shape[1], shape[0] - 1) if damping is None else damping
    inverse = np.linalg.inv(moment + added * np.eye(shape[1]))
    for part_bytes in (2**26, 1):
        monkeypatch.setattr(gram, "_PART_BYTES", part_bytes)
        found = made(rows, weights, damping)
        assert found.damping == pytest.approx(added, rel=1e-12)
        # Condition numbers of some hundreds, in float64.
        np.testing.assert_allclose(found.values(vectors), vectors @ inverse @ rows.T, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(found.leverages(), np.diag(rows @ inverse @ rows.T), rtol=1e-9)


def test_rows_without_weight_may_be_nan():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(10, 3)), np.ones(10)
    rows[4], weights[4] = np.nan, 0.0
    found = made(rows, weights, 0.1).values(np.ones((1, 3)))
    assert np.isnan(found[0, 4])
    others = np.delete(rows, 4, axis=0)
    expected = made(others, np.ones(9), 0.1).values(np.ones((1, 3)))
    np.testing.assert_allclose(np.delete(found, 4, axis=1), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 8), (20, 8)])
def test_a_singular_moment_is_named(shape):
    rows = np.random.default_rng(0).normal(size=shape)
    rows[:, 1] = rows[:, 0]
    with pytest.raises(
        InvalidDataError, match=rf"{shape[0]} gradients in 8 numbers is singular: give a damping"
    ):
        made(rows, np.ones(len(rows)), 0.0)
