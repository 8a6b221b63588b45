"""Optimizers as frozen values that travel through JSON."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

import dataval as dv
from dataval.training.optimizers import AnyOptimizer

OPTIMIZERS = [
    dv.SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    dv.Adam(betas=(0.8, 0.99), weight_decay=0.1),
    dv.AdamW(learning_rate=1 / 3, epsilon=1e-7),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
def test_is_a_frozen_value(optimizer):
    with pytest.raises(ValidationError, match="frozen"):
        optimizer.learning_rate = 1.0
    assert optimizer == type(optimizer)(**optimizer.model_dump())
    assert hash(optimizer) == hash(optimizer.model_copy())
    assert optimizer != optimizer.model_copy(update={"learning_rate": 0.7})


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
def test_round_trip_through_json_keeps_kind_and_every_digit(optimizer):
    adapter = TypeAdapter(AnyOptimizer)
    again = adapter.validate_json(adapter.dump_json(optimizer))
    assert type(again) is type(optimizer)
    assert again == optimizer


def test_unknown_kind_is_refused():
    with pytest.raises(ValidationError, match="tiger"):
        TypeAdapter(AnyOptimizer).validate_python({"name": "tiger", "learning_rate": 0.1})
