"""What arrays can do, as the contract has it for NumPy's; each framework's own are in the conformance tests."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.backend import Arrays


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_from_numpy_converts_and_shares_nothing(dtype):
    arrays, values = Arrays(dtype), np.arange(6, dtype=dtype).reshape(2, 3)
    for given in (values, values.T, values[::-1], values.astype(">f8"), values.astype(int)):
        array = arrays.from_numpy(given)
        assert array.dtype == dtype
        assert not np.shares_memory(array, given)
        np.testing.assert_array_equal(arrays.to_numpy(array), given)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (5, 3, 4)])
def test_inner_products_keep_their_axis(shape):
    left, right = np.random.default_rng(0).normal(size=(2, *shape))
    found = Arrays().inner(left, right)
    assert found.shape == (*shape[:-1], 1)
    np.testing.assert_allclose(found[..., 0], np.einsum("...p,...p->...", left, right), rtol=1e-12)


def test_outer_is_all_inner_products():
    rng = np.random.default_rng(0)
    vectors, rows = rng.normal(size=(2, 4)), rng.normal(size=(5, 4))
    found = Arrays().outer(vectors, rows)
    expected = [[vector @ row for row in rows] for vector in vectors]
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # sums in another order


def test_minimum_and_joining():
    arrays, values = Arrays(), np.array([[1.0, -2.0], [3.0, 0.5]])
    np.testing.assert_array_equal(arrays.minimum(values, 0.75), [[0.75, -2], [0.75, 0.5]])
    assert arrays.stack([values, values]).shape == (2, 2, 2)
    assert arrays.concatenate([values, values[:, :1]]).shape == (2, 3)
