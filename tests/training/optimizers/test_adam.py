"""Adam and AdamW against torch.optim, finite differences and automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.training.optimizers import Adam, AdamW
from tests.training.optimizers import checks

CASES = {
    "adam": Adam(learning_rate=0.01),
    "adam_decay": Adam(learning_rate=0.01, weight_decay=0.05),
    "adam_betas": Adam(learning_rate=0.02, betas=(0.5, 0.8), epsilon=1e-3),
    "adam_no_memory": Adam(learning_rate=0.01, betas=(0.0, 0.0)),
    "adamw": AdamW(learning_rate=0.01),
    "adamw_no_decay": AdamW(learning_rate=0.01, weight_decay=0.0),
    "adamw_betas": AdamW(learning_rate=0.02, betas=(0.8, 0.9), epsilon=1e-4, weight_decay=0.3),
}


@pytest.mark.parametrize("case", CASES)
def test_fifty_updates_agree_with_torch(case):
    optimizer = CASES[case]
    checks.check_agrees_with_torch(
        optimizer,
        {"adam": "Adam", "adamw": "AdamW"}[optimizer.name],
        betas=optimizer.betas,
        eps=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
    )


@pytest.mark.parametrize("torch_class", ["Adam", "AdamW"])
def test_defaults_are_those_of_torch(torch_class):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, torch_class)([torch.nn.Parameter(torch.zeros(1))]).defaults
    mine = {"Adam": Adam, "AdamW": AdamW}[torch_class]()
    assert (mine.learning_rate, mine.betas, mine.epsilon, mine.weight_decay) == (
        theirs["lr"],
        theirs["betas"],
        theirs["eps"],
        theirs["weight_decay"],
    )


@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.parametrize("step", [0, 4])
@pytest.mark.parametrize("case", CASES)
def test_pullback_equals_finite_differences(case, step, lead):
    checks.check_vjp_against_finite_differences(CASES[case], step, lead)


@pytest.mark.parametrize("lead", [(), (3,)])
@pytest.mark.parametrize("step", [0, 4])
@pytest.mark.parametrize("case", CASES)
def test_pullback_equals_autograd(case, step, lead):
    checks.check_vjp_against_autograd(CASES[case], step, lead)


@pytest.mark.parametrize("case", CASES)
def test_a_leading_axis_is_many_runs(case):
    checks.check_update_of_many_states(CASES[case], step=1)
    checks.check_vjp_of_many_cotangents(CASES[case], step=1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_a_parameter_without_gradient_stays_finite(case, dtype):
    """Dead units have zero gradients throughout: 0 / sqrt(0) must not become NaN on the way back."""
    optimizer = CASES[case]
    zero, bar = np.zeros(3, dtype), np.ones(3, dtype)
    for step in (0, 1, 100):
        parameters, slots = optimizer.update(zero, (zero, zero), zero, optimizer.at(step, learning_rate=0.01))
        found = optimizer.update_vjp(
            bar, (bar, bar), zero, (zero, zero), zero, optimizer.at(step, learning_rate=0.01)
        )
        for array in (parameters, *slots, found[0], *found[1], found[2]):
            assert np.isfinite(array).all()
            assert array.dtype == dtype


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_a_gradient_that_vanishes_after_some_updates_stays_finite(case, dtype):
    """Moments that have decayed, or a square that was lost to underflow, with a gradient of zero."""
    optimizer = CASES[case]
    zero, bar = np.zeros(1, dtype), np.ones(1, dtype)
    for mean, square in ((1e-3, 1e-6), (1e-26, 0.0), (0.0, 1e-30)):
        slots = (np.array([mean], dtype), np.array([square], dtype))
        found = optimizer.update_vjp(bar, (bar, bar), zero, slots, zero, optimizer.at(100, learning_rate=0.01))
        assert np.isfinite([found[0], *found[1], found[2]]).all(), (mean, square)


def test_derivative_of_the_first_update_at_a_zero_gradient():
    """There, theta' = theta - eta g / (|g| + eps), whose derivative in g at 0 is -eta / eps."""
    optimizer = Adam(learning_rate=0.01, epsilon=1e-3)
    zero = np.zeros(1)
    gradient_bar = optimizer.update_vjp(
        np.ones(1), (zero, zero), zero, (zero, zero), zero, optimizer.at(0, learning_rate=0.01)
    )[2]
    np.testing.assert_allclose(gradient_bar, -0.01 / 1e-3, rtol=1e-12)  # a few roundings


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"learning_rate": -1e-3}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"betas": (-0.1, 0.9)}, "betas"),
        ({"betas": (float("nan"), 0.9)}, "betas"),
        ({"betas": (0.9,)}, "betas"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"momentum": 0.9}, "momentum"),
        ({"amsgrad": True}, "amsgrad"),
    ],
)
def test_refuses_nonsense(kind, options, match):
    checks.refused(lambda: kind(**options), match)
