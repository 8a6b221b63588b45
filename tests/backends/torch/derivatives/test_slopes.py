"""Three ways to directional derivatives: forward mode, reverse over reverse, and one pass back a value."""

from __future__ import annotations

import pytest
import torch

from dataval_torch.derivatives.slopes import by_rows, double_reverse, forward_mode
from tests.backends.torch import models as m

WAYS = [forward_mode, double_reverse, by_rows]


def draws(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


X, W, B, V_W, V_B = draws((5, 6), (3, 6), (3,), (3, 6), (3,))
PARAMETERS, VECTOR = {"weight": W, "bias": B}, {"weight": V_W, "bias": V_B}


def outputs(named):
    return torch.nn.functional.linear(X, named["weight"], named["bias"])


def losses(named):
    return outputs(named).logsumexp(1)


@pytest.mark.parametrize("way", WAYS)
def test_equals_the_jacobian(way):
    """Sums of 21 terms in another order."""
    jacobian = torch.autograd.functional.jacobian(lambda w, b: losses({"weight": w, "bias": b}), (W, B))
    expected = jacobian[0].flatten(1) @ V_W.flatten() + jacobian[1] @ V_B
    torch.testing.assert_close(way(losses, PARAMETERS, VECTOR), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("way", WAYS)
def test_of_outputs_with_several_axes(way):
    found = way(outputs, PARAMETERS, VECTOR)
    torch.testing.assert_close(found, outputs(VECTOR), rtol=1e-13, atol=1e-14)  # linear in the parameters


@pytest.mark.parametrize("way", WAYS)
def test_parameters_that_are_not_used(way):
    found = way(lambda named: losses(named | {"bias": 0 * B}), PARAMETERS, VECTOR)
    torch.testing.assert_close(
        found, way(losses, PARAMETERS | {"bias": 0 * B}, VECTOR | {"bias": 0 * B}), rtol=1e-13, atol=1e-14
    )


@pytest.mark.parametrize("way", WAYS)
def test_arguments_are_left_alone(way):
    way(losses, PARAMETERS, VECTOR)
    assert not any(t.requires_grad for t in (*PARAMETERS.values(), *VECTOR.values()))
    assert not way(losses, PARAMETERS, VECTOR).requires_grad


def test_the_last_way_needs_a_first_derivative_alone():
    def once(named):
        return m.once(outputs(named)).sum(1)

    expected = (3 * outputs(PARAMETERS) ** 2 * outputs(VECTOR)).sum(1)
    torch.testing.assert_close(by_rows(once, PARAMETERS, VECTOR), expected, rtol=1e-13, atol=1e-14)
