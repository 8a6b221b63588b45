"""Products with the Hessian and the Gauss-Newton matrix, against dense matrices of torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.functional import hessian, jacobian
from torch.nn import functional as F

from dataval_torch.derivatives.curvature import gauss_newton_dual, gauss_newton_products, hessian_products


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y, WEIGHTS, POINT = draw(5, 6), torch.arange(5) % 3, draw(5, seed=1).abs(), draw(3, 6, seed=2)


def outputs_of(named):
    return torch.tanh(X @ named["weight"].T) * 2


def values_of(outputs):
    return F.cross_entropy(outputs, Y, reduction="none")


def leaves():
    return {"weight": POINT.clone().requires_grad_()}


def dense_hessian():
    found = hessian(lambda w: WEIGHTS @ values_of(outputs_of({"weight": w})), POINT)
    return found.reshape(18, 18)


def dense_gauss_newton():
    J = jacobian(lambda w: outputs_of({"weight": w}), POINT).reshape(5, 3, 18)
    outputs = outputs_of({"weight": POINT})
    H = torch.stack([hessian(lambda o, i=i: F.cross_entropy(o, Y[i]), outputs[i]) for i in range(5)])
    return torch.einsum("n,nap,nab,nbq->pq", WEIGHTS, J, H, J)


@pytest.mark.parametrize("lead", [(), (4,)], ids=str)
def test_hessian(lead):
    vectors = draw(*lead, 3, 6, seed=3)
    (found,) = hessian_products(lambda named: values_of(outputs_of(named)), leaves(), WEIGHTS, [vectors])
    expected = vectors.reshape(-1, 18) @ dense_hessian()
    torch.testing.assert_close(found.reshape(-1, 18), expected, rtol=1e-11, atol=1e-12)  # sums of 90 terms


@pytest.mark.parametrize("lead", [(), (4,)], ids=str)
def test_gauss_newton(lead):
    vectors, expected = draw(*lead, 3, 6, seed=3), dense_gauss_newton()
    ways = [gauss_newton_products] if lead else [gauss_newton_products, gauss_newton_dual]
    for way in ways:
        (found,) = way(outputs_of, values_of, leaves(), WEIGHTS, [vectors])
        torch.testing.assert_close(
            found.reshape(-1, 18), vectors.reshape(-1, 18) @ expected, rtol=1e-11, atol=1e-12
        )


def test_gauss_newton_is_positive_semidefinite_where_the_hessian_is_not():
    assert torch.linalg.eigvalsh(dense_hessian()).min() < -1e-3
    assert torch.linalg.eigvalsh(dense_gauss_newton()).min() > -1e-12


def test_outputs_that_do_not_move_give_zeros():
    named = leaves() | {"idle": torch.zeros(2, dtype=torch.float64, requires_grad=True)}
    vectors = [torch.zeros(3, 6, dtype=torch.float64), torch.ones(2, dtype=torch.float64)]
    for way in (gauss_newton_products, gauss_newton_dual):
        assert not any(piece.any() for piece in way(outputs_of, values_of, named, WEIGHTS, vectors))
