"""Schedules against torch's, and functions of the progress."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dataval as dv

T = 37
TORCH = torch.optim.lr_scheduler
CASES = {
    "linear": (
        dv.LinearSchedule(end_factor=0.2),
        "LinearLR",
        {"start_factor": 1.0, "end_factor": 0.2, "total_iters": T},
    ),
    "polynomial": (dv.PolynomialSchedule(power=2.0), "PolynomialLR", {"power": 2.0, "total_iters": T}),
    "one cycle": (dv.OneCycleSchedule(), "OneCycleLR", {"max_lr": 0.1, "total_steps": T}),
    "one cycle in three": (
        dv.OneCycleSchedule(
            three_phases=True, anneal="linear", rising_share=0.4, start_divisor=10, end_divisor=100
        ),
        "OneCycleLR",
        {
            "max_lr": 0.1,
            "total_steps": T,
            "three_phase": True,
            "anneal_strategy": "linear",
            "pct_start": 0.4,
            "div_factor": 10,
            "final_div_factor": 100,
        },
    ),
}


def of_torch(name, options):
    """Return torch's learning rates and momenta."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    schedule = getattr(TORCH, name)(optimizer, **options)
    found = []
    for step in range(T):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["momentum"]))
        optimizer.step()
        if step < T - 1:
            schedule.step()
    return np.array(found).T


@pytest.mark.parametrize("name", CASES)
def test_equals_torch(name):
    schedule, theirs, options = CASES[name]
    rates, momenta = of_torch(theirs, options)
    np.testing.assert_allclose(
        0.1 * schedule.factors(T, 5), rates, rtol=0, atol=1e-15
    )  # chained products round
    if theirs == "OneCycleLR":
        np.testing.assert_allclose(schedule.momenta(T, 5), momenta, rtol=0, atol=1e-15)


def test_exponential():
    found = dv.ExponentialSchedule(gamma=0.5).factors(6, 2)
    np.testing.assert_array_equal(found, [1, 1, 0.5, 0.5, 0.25, 0.25])


def test_a_function_of_the_progress():
    training = dv.Training(schedule=lambda progress: 1 - progress)
    np.testing.assert_array_equal(training.schedule.factors(4, 2), [1, 0.75, 0.5, 0.25])
    assert training == dv.Training(schedule=lambda progress: 1 - progress)
    assert training != dv.Training(schedule=lambda progress: 1 - progress**2)
    assert len({training, dv.Training(schedule=lambda progress: 1 - progress)}) == 1
    read = dv.Training.model_validate_json(training.model_dump_json())
    assert read == training
    with pytest.raises(ValueError, match="a saved run doesn't hold"):
        read.schedule.factors(4, 2)
    with pytest.raises(ValueError, match=r"returned -1.0 at progress 0.000"):
        dv.Training(schedule=lambda progress: -1.0).schedule.factors(4, 2)
    with pytest.raises(ValueError, match="needs more than 2 updates"):
        dv.OneCycleSchedule().factors(2, 1)


def test_one_cycle_moves_the_momentum_of_any_optimizer():
    from dataval.training.plan import make_plan

    for optimizer, name in ((dv.SGD(learning_rate=0.1, momentum=0.9), "momentum"), (dv.AdamW(), "beta1")):
        plan = make_plan(
            dv.Training(optimizer=optimizer, schedule=dv.OneCycleSchedule(), epochs=4, batch_size=2), 10
        )
        found = plan.hyperparameters.values[name][:, 0]
        np.testing.assert_allclose([found[0], found.min(), found[-1]], [0.95, 0.85, 0.95], atol=1e-3)
    for optimizer in (dv.Adagrad(), dv.SGD(learning_rate=0.1), dv.RMSprop(), dv.NAdam()):
        without = dv.Training(optimizer=optimizer, schedule=dv.OneCycleSchedule(), epochs=4, batch_size=2)
        name = type(optimizer).__name__
        with pytest.raises(ValueError, match=f"moves the momentum, and this {name} has none that can be moved"):
            make_plan(without, 10)
        still = without.model_copy(update={"schedule": dv.OneCycleSchedule(momentum=None)})
        assert len(make_plan(still, 10).hyperparameters.values["learning_rate"]) == 20
