"""SGD against torch.optim.SGD, finite differences and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.training.optimizers import SGD
from tests.training.optimizers import checks

CASES = {
    "plain": {},
    "decay": {"weight_decay": 0.03},
    "momentum": {"momentum": 0.9},
    "momentum_decay": {"momentum": 0.9, "weight_decay": 0.03},
    "dampening": {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.03},
    "full_dampening": {"momentum": 0.8, "dampening": 1.0},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "nesterov_decay": {"momentum": 0.7, "nesterov": True, "weight_decay": 0.03},
}
OPTIMIZERS = {name: SGD(learning_rate=0.05, **options) for name, options in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_fifty_updates_agree_with_torch(case):
    checks.check_agrees_with_torch(OPTIMIZERS[case], "SGD", **CASES[case])


@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.parametrize("step", [0, 4])
@pytest.mark.parametrize("case", CASES)
def test_pullback_equals_finite_differences(case, step, lead):
    checks.check_vjp_against_finite_differences(OPTIMIZERS[case], step, lead)


@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.parametrize("step", [0, 4])
@pytest.mark.parametrize("case", CASES)
def test_pullback_equals_autograd(case, step, lead):
    checks.check_vjp_against_autograd(OPTIMIZERS[case], step, lead)


@pytest.mark.parametrize("case", CASES)
def test_a_leading_axis_is_many_runs(case):
    checks.check_update_of_many_states(OPTIMIZERS[case], step=1)
    checks.check_vjp_of_many_cotangents(OPTIMIZERS[case], step=1)


@pytest.mark.parametrize("step", [0, 4])
@pytest.mark.parametrize("case", CASES)
def test_pullback_of_floats_is_that_of_arrays(case, step):
    """The Hessian-free recursion runs on scalars: no forward value is needed."""
    optimizer = OPTIMIZERS[case]
    assert optimizer.linear
    slots_bar = (-0.4,) * optimizer.n_slots
    factors = optimizer.at(step, learning_rate=0.1)
    found = optimizer.update_vjp(1.7, slots_bar, None, (), None, factors)
    ones = np.ones(4)
    arrays = optimizer.update_vjp(1.7 * ones, tuple(bar * ones for bar in slots_bar), None, (), None, factors)
    for scalar, array in zip((found[0], *found[1], found[2]), (arrays[0], *arrays[1], arrays[2]), strict=True):
        assert isinstance(scalar, float)
        np.testing.assert_array_equal(array, scalar)


def test_slots_start_at_zero():
    parameters = np.arange(4.0)
    assert SGD(learning_rate=0.1).init_slots(parameters) == ()
    (buffer,) = SGD(learning_rate=0.1, momentum=0.5).init_slots(parameters)
    np.testing.assert_array_equal(buffer, np.zeros(4))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "learning_rate"),
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": 0.1, "momentum": 1.0}, "momentum"),
        ({"learning_rate": 0.1, "momentum": -0.1}, "momentum"),
        ({"learning_rate": 0.1, "momentum": 0.9, "dampening": 1.1}, "dampening"),
        ({"learning_rate": 0.1, "weight_decay": -1e-4}, "weight_decay"),
        ({"learning_rate": 0.1, "nesterov": True}, "nesterov=True needs momentum > 0"),
        (
            {"learning_rate": 0.1, "nesterov": True, "momentum": 0.9, "dampening": 0.1},
            "nesterov=True needs .* dampening = 0",
        ),
        ({"lr": 0.1, "learning_rate": 0.1}, "lr"),
    ],
)
def test_refuses_nonsense(options, match):
    checks.refused(lambda: SGD(**options), match)
