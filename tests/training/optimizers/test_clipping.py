"""Clipping against torch.nn.utils.clip_grad_norm_, finite differences and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.training.optimizers import clip_by_norm, clip_by_norm_vjp
from tests.training.optimizers.checks import NumpyOps, TorchOps

OPS = NumpyOps()
GRADIENT = np.random.default_rng(0).normal(size=7)
NORM = float(np.linalg.norm(GRADIENT))
BOUNDS = {"clipped": 0.4 * NORM, "barely": 0.999 * NORM, "free": 1.001 * NORM, "far": 100.0}


@pytest.mark.parametrize("bound", BOUNDS)
def test_agrees_with_torch(bound):
    torch = pytest.importorskip("torch")
    # A norm over several tensors is the norm of all entries.
    pieces = [torch.nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (3, 4)]
    for piece, gradient in zip(pieces, np.split(GRADIENT, [3]), strict=True):
        piece.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_norm_(pieces, BOUNDS[bound])
    expected = np.concatenate([piece.grad.numpy() for piece in pieces])
    # Sums in another order: rounding of float64.
    np.testing.assert_allclose(clip_by_norm(GRADIENT, BOUNDS[bound], OPS), expected, rtol=1e-13)


def test_norm_is_bounded_and_direction_kept():
    clipped = clip_by_norm(GRADIENT, 0.5, OPS)
    # The bound is divided by the norm plus 1e-6.
    assert np.linalg.norm(clipped) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(clipped / GRADIENT, (clipped / GRADIENT)[0], rtol=1e-14)  # one factor
    np.testing.assert_array_equal(clip_by_norm(GRADIENT, 100.0, OPS), GRADIENT)


@pytest.mark.parametrize("bound", BOUNDS)
def test_pullback_equals_finite_differences(bound):
    cotangent = np.random.default_rng(1).normal(size=7)
    found = clip_by_norm_vjp(cotangent, GRADIENT, BOUNDS[bound], OPS)
    expected = np.empty(7)
    for i in range(7):
        shift = 1e-5 * np.eye(7)[i]
        ends = [clip_by_norm(GRADIENT + s * shift, BOUNDS[bound], OPS) @ cotangent for s in (1, -1)]
        expected[i] = (ends[0] - ends[1]) / 2e-5
    # Steps of 1e-5, far from the kink at |g| = c: truncation and rounding are about 1e-10.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("bound", BOUNDS)
def test_pullback_equals_autograd(bound):
    torch = pytest.importorskip("torch")
    cotangent = torch.tensor(np.random.default_rng(1).normal(size=(3, 7)))
    gradient = torch.tensor(GRADIENT * np.array([[1.0], [3.0], [0.01]]), requires_grad=True)
    (expected,) = torch.autograd.grad(clip_by_norm(gradient, BOUNDS[bound], TorchOps()), gradient, cotangent)
    found = clip_by_norm_vjp(cotangent, gradient.detach(), BOUNDS[bound], TorchOps())
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)  # rounding


def test_each_row_of_a_leading_axis_is_clipped_by_its_own_norm():
    rows = GRADIENT * np.array([[1.0], [0.01], [50.0]])
    bars = np.random.default_rng(2).normal(size=(3, 7))
    clipped, pulled = clip_by_norm(rows, NORM / 2, OPS), clip_by_norm_vjp(bars, rows, NORM / 2, OPS)
    for k in range(3):
        np.testing.assert_array_equal(clipped[k], clip_by_norm(rows[k], NORM / 2, OPS))
        np.testing.assert_array_equal(pulled[k], clip_by_norm_vjp(bars[k], rows[k], NORM / 2, OPS))


def test_many_cotangents_of_one_gradient():
    bars = np.random.default_rng(2).normal(size=(3, 7))
    pulled = clip_by_norm_vjp(bars, GRADIENT, NORM / 2, OPS)
    for bar, row in zip(bars, pulled, strict=True):
        np.testing.assert_array_equal(row, clip_by_norm_vjp(bar, GRADIENT, NORM / 2, OPS))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_zero_gradient_passes_through(dtype):
    zero, bar = np.zeros(4, dtype), np.ones(4, dtype)
    np.testing.assert_array_equal(clip_by_norm(zero, 1.0, OPS), zero)
    np.testing.assert_array_equal(clip_by_norm_vjp(bar, zero, 1.0, OPS), bar)
