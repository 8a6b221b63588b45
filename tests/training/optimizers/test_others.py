"""NAdam, RAdam, RMSprop, Adagrad and Lion against torch.optim or their papers, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from tests.training.optimizers import checks

CASES = {
    "nadam": ("NAdam", dv.NAdam(learning_rate=0.02, weight_decay=0.03), {"weight_decay": 0.03}),
    "nadam_decoupled": (
        "NAdam",
        dv.NAdam(learning_rate=0.02, weight_decay=0.03, decoupled_weight_decay=True, momentum_decay=0.01),
        {"weight_decay": 0.03, "decoupled_weight_decay": True, "momentum_decay": 0.01},
    ),
    "radam": ("RAdam", dv.RAdam(learning_rate=0.02, betas=(0.9, 0.99)), {"betas": (0.9, 0.99)}),
    "radam_decoupled": (
        "RAdam",
        dv.RAdam(learning_rate=0.02, weight_decay=0.1, decoupled_weight_decay=True),
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "rmsprop": ("RMSprop", dv.RMSprop(learning_rate=0.01, weight_decay=0.02), {"weight_decay": 0.02}),
    "rmsprop_momentum": ("RMSprop", dv.RMSprop(learning_rate=0.01, momentum=0.8), {"momentum": 0.8}),
    "rmsprop_centered": (
        "RMSprop",
        dv.RMSprop(learning_rate=0.01, momentum=0.8, centered=True, alpha=0.9),
        {"momentum": 0.8, "centered": True, "alpha": 0.9},
    ),
    "adagrad": (
        "Adagrad",
        dv.Adagrad(
            learning_rate=0.05,
            learning_rate_decay=0.01,
            initial_accumulator=0.1,
            weight_decay=0.01,
            epsilon=1e-9,
        ),
        {"lr_decay": 0.01, "initial_accumulator_value": 0.1, "weight_decay": 0.01, "eps": 1e-9},
    ),
}
LION = dv.Lion(learning_rate=0.01, weight_decay=0.1)


@pytest.mark.parametrize("case", CASES)
def test_fifty_updates_agree_with_torch(case):
    """torch keeps NAdam's product of momenta in single precision: 1e-8 there."""
    name, optimizer, options = CASES[case]
    tolerance = 1e-8 if name == "NAdam" else 1e-10
    checks.check_agrees_with_torch(optimizer, name, tolerance=tolerance, **options)


@pytest.mark.parametrize("step", [0, 4, 20])
@pytest.mark.parametrize("case", CASES)
def test_pullback(case, step):
    """Update 4 is on the plain side of RAdam's switch, 20 on the rectified."""
    optimizer = CASES[case][1]
    for lead in ((), (3,)):
        checks.check_vjp_against_finite_differences(optimizer, step, lead)
        checks.check_vjp_against_autograd(optimizer, step, lead)
    checks.check_update_of_many_states(optimizer, step)
    checks.check_vjp_of_many_cotangents(optimizer, step)


@pytest.mark.parametrize("case", CASES)
def test_a_parameter_without_gradients_has_no_derivative(case):
    optimizer, zero, bar = CASES[case][1], np.zeros(3), np.ones(3)
    slots = optimizer.init_slots(zero)
    found = optimizer.update_vjp(bar, tuple(bar for _ in slots), zero, slots, zero, optimizer.at(0))
    assert all(np.isfinite(each).all() for each in (found[0], *found[1], found[2]))


@pytest.mark.parametrize("optimizer", [*(case[1] for case in CASES.values()), LION], ids=[*CASES, "lion"])
def test_written_and_read(optimizer):
    training = dv.Training(optimizer=optimizer)
    assert dv.Training.model_validate_json(training.model_dump_json()) == training


def test_lion_is_the_papers():
    rng = np.random.default_rng(0)
    theta, m, g = rng.normal(size=(3, 5))
    found, (average,) = LION.update(theta, (m,), g, LION.at(0))
    expected = theta - 0.01 * (np.sign(0.9 * m + 0.1 * g) + 0.1 * theta)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    np.testing.assert_allclose(average, 0.99 * m + 0.01 * g, rtol=1e-14)


@pytest.mark.parametrize("lead", [(), (3,)])
def test_pullback_of_lion(lead):
    """The sign's derivative is 0: only decay and the average carry anything on."""
    checks.check_vjp_against_finite_differences(LION, 0, lead)


def test_groups_are_checked():
    groups = {"*bias": {"weight_decay": 0.0}, "head.*": {"learning_rate": 0.5, "betas": (0.8, 0.9)}}
    optimizer = dv.AdamW(weight_decay=0.1, groups=groups)
    own = optimizer.group_optimizers()
    assert [each.weight_decay for each in own] == [0.0, 0.1]
    assert [each.constants()["beta1"] for each in own] == [0.9, 0.8]
    assert dv.AdamW(**optimizer.model_dump()) == optimizer
    checks.refused(
        lambda: dv.SGD(learning_rate=1.0, groups={"*": {"nesterov": True}}), "no option 'nesterov' that"
    )
    checks.refused(lambda: dv.SGD(learning_rate=1.0, groups={"*": {"learning_rate": -1.0}}), "learning_rate")
    checks.refused(lambda: dv.SGD(learning_rate=1.0, groups={"*": 0.1}), "must be a dict of options")
