"""Schedules against torch.optim.lr_scheduler."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

import dataval as dv
from dataval.training.schedules import AnySchedule

EPOCHS, PER_EPOCH = 6, 5
T = EPOCHS * PER_EPOCH
VALUES = tuple(np.random.default_rng(0).uniform(0, 2, T).tolist())


def rates_of_torch(build, every=1):
    """Return the rate of every update under a scheduler that is stepped every so many updates."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = build(torch.optim.lr_scheduler)(optimizer)
    rates = []
    for step in range(T):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return rates


SAME = {
    "constant": (dv.ConstantSchedule(), lambda s: lambda o: s.ConstantLR(o, factor=1.0), 1),
    "step": (
        dv.StepSchedule(every_epochs=2, gamma=0.3),
        lambda s: lambda o: s.StepLR(o, step_size=2, gamma=0.3),
        PER_EPOCH,
    ),
    "cosine": (dv.CosineSchedule(), lambda s: lambda o: s.CosineAnnealingLR(o, T_max=T), 1),
    "cosine_to_floor": (
        dv.CosineSchedule(min_factor=0.2),
        lambda s: lambda o: s.CosineAnnealingLR(o, T_max=T, eta_min=0.2),
        1,
    ),
    "warmup": (
        dv.ConstantSchedule(warmup_steps=9),
        lambda s: lambda o: s.LinearLR(o, start_factor=0.1, total_iters=9),
        1,
    ),
    "explicit": (
        dv.ExplicitSchedule(values=VALUES),
        lambda s: lambda o: s.LambdaLR(o, lambda t: VALUES[t] if t < T else 0.0),
        1,
    ),
    "explicit_epochs": (
        dv.ExplicitSchedule(values=VALUES[:EPOCHS], per="epoch"),
        lambda s: lambda o: s.LambdaLR(o, lambda e: VALUES[e]),
        PER_EPOCH,
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_agrees_with_torch(case):
    schedule, build, every = SAME[case]
    # torch's cosine and warm-up are recursions, whose rounding adds up over the updates.
    np.testing.assert_allclose(
        schedule.factors(T, PER_EPOCH), rates_of_torch(build, every), rtol=1e-10, atol=1e-14
    )


def test_warmup_multiplies_the_schedule():
    plain = dv.StepSchedule(every_epochs=1, gamma=0.5).factors(T, PER_EPOCH)
    warm = dv.StepSchedule(every_epochs=1, gamma=0.5, warmup_steps=7).factors(T, PER_EPOCH)
    np.testing.assert_allclose(warm[:7] / plain[:7], np.arange(1, 8) / 8, rtol=1e-15)  # one rounding
    np.testing.assert_array_equal(warm[7:], plain[7:])


def test_cosine_by_hand():
    factors = dv.CosineSchedule().factors(4, 1)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(factors, [1, (1 + half) / 2, 0.5, (1 - half) / 2], atol=1e-15)


@pytest.mark.parametrize("per", ["step", "epoch"])
def test_explicit_of_another_length_is_refused_by_name(per):
    with pytest.raises(ValueError, match=f"3 values per {per}, but the run has .* {per}s"):
        dv.ExplicitSchedule(values=(1, 1, 1), per=per).factors(T, PER_EPOCH)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: dv.StepSchedule(every_epochs=0), "every_epochs"),
        (lambda: dv.StepSchedule(), "every_epochs"),
        (lambda: dv.StepSchedule(every_epochs=2, gamma=0.0), "gamma"),
        (lambda: dv.StepSchedule(every_epochs=2, gamma=float("nan")), "gamma"),
        (lambda: dv.CosineSchedule(min_factor=1.1), "min_factor"),
        (lambda: dv.CosineSchedule(min_factor=-0.1), "min_factor"),
        (lambda: dv.CosineSchedule(warmup_steps=-1), "warmup_steps"),
        (lambda: dv.ConstantSchedule(warm_up=3), "warm_up"),
        (lambda: dv.ExplicitSchedule(values=()), "values"),
        (lambda: dv.ExplicitSchedule(values=(1.0, -0.1)), "must not be negative"),
        (lambda: dv.ExplicitSchedule(values=(1.0, float("inf"))), "values"),
        (lambda: dv.ExplicitSchedule(values=(1.0,), per="week"), "per"),
    ],
)
def test_refuses_nonsense(build, match):
    with pytest.raises(ValueError, match=match):
        build()


@pytest.mark.parametrize("case", SAME)
def test_frozen_and_round_trip_through_json(case):
    schedule, adapter = SAME[case][0], TypeAdapter(AnySchedule)
    with pytest.raises(ValidationError, match="frozen"):
        schedule.warmup_steps = 3
    again = adapter.validate_json(adapter.dump_json(schedule))
    assert type(again) is type(schedule)
    assert again == schedule
