"""The training configuration as a frozen value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

import dataval as dv

TRAININGS = [
    dv.Training(),
    dv.Training(
        optimizer=dv.SGD(learning_rate=0.1, momentum=0.9, nesterov=True),
        schedule=dv.StepSchedule(every_epochs=3, gamma=1 / 3, warmup_steps=2),
        epochs=7,
        batch_size=3,
        clip_norm=0.7,
        shuffle=False,
        drop_last=True,
        seed=5,
    ),
    dv.Training(optimizer=dv.Adam(betas=(0.8, 0.95)), schedule=dv.CosineSchedule(min_factor=0.1)),
    dv.Training(optimizer=dv.AdamW(), schedule=dv.ExplicitSchedule(values=(1.0, 0.1), per="epoch"), epochs=2),
]


@pytest.mark.parametrize("training", TRAININGS)
def test_round_trip_through_json(training):
    again = dv.Training.model_validate_json(training.model_dump_json())
    assert again == training
    assert type(again.optimizer) is type(training.optimizer)
    assert type(again.schedule) is type(training.schedule)


def test_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        dv.Training().epochs = 3


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": -5}, "batch_size"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"clip_norm": float("nan")}, "clip_norm"),
        ({"clip_norm": float("inf")}, "clip_norm"),
        ({"seed": -1}, "seed"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"schedule": 0.1}, "schedule"),
        ({"learning_rate": 0.1}, "learning_rate"),
    ],
)
def test_refuses_nonsense(options, match):
    with pytest.raises(ValueError, match=match):
        dv.Training(**options)


def test_smooth_keeps_the_effective_rate():
    training = dv.Training.smooth(effective_rate=0.1, momentum=0.75, epochs=3, seed=4)
    assert training.optimizer.learning_rate == pytest.approx(0.025)
    assert (training.optimizer.momentum, training.epochs, training.seed) == (0.75, 3, 4)
    assert training.schedule.factors(100, 10)[-1] < 1e-3
    assert isinstance(dv.Training.smooth(schedule=dv.LinearSchedule()).schedule, dv.LinearSchedule)
    with pytest.raises(TypeError, match="chooses the optimizer"):
        dv.Training.smooth(optimizer=dv.SGD(learning_rate=1))
    with pytest.raises(ValueError, match="momentum must be"):
        dv.Training.smooth(momentum=1.0)
    with pytest.raises(ValueError, match="epoch"):
        dv.Training.smooth(epoch=3)
