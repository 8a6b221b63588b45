"""An optimizer of one's own: checked, trained with, and told apart."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pytest
from pydantic import Field

import dataval as dv
from dataval.testing import check_optimizer
from dataval.training.optimizers import Optimizer
from tests.runs import make_samples, shared_model
from tests.zoo import torch_models


class Normalised(Optimizer):
    """Gradient descent with a step that grows with the root of the gradient."""

    name: Literal["normalised"] = "normalised"
    power: float = Field(default=0.5, gt=0)

    hyperparameters: ClassVar[tuple[str, ...]] = ("learning_rate", "power")

    @property
    def n_slots(self):
        return 0

    def update(self, parameters, slots, gradient, factors):
        size = (gradient * gradient + 1e-2) ** (0.5 * factors.power - 0.5)
        return parameters - factors.learning_rate * gradient * size, ()

    def update_vjp(self, parameters_bar, slots_bar, parameters, slots, gradient, factors):
        square = gradient * gradient + 1e-2
        exponent = 0.5 * factors.power - 0.5
        slope = square**exponent + 2 * exponent * gradient * gradient * square ** (exponent - 1)
        return parameters_bar, (), -factors.learning_rate * slope * parameters_bar


class Wrong(Normalised):
    def update_vjp(self, parameters_bar, slots_bar, parameters, slots, gradient, factors):
        return parameters_bar, (), -factors.learning_rate * parameters_bar


def test_it_is_checked():
    check_optimizer(Normalised(learning_rate=0.1))
    with pytest.raises(AssertionError, match=r"the cotangent of the gradient is .* differences of update give"):
        check_optimizer(Wrong(learning_rate=0.1))


@pytest.mark.parametrize(
    "optimizer",
    [dv.SGD(learning_rate=0.1, momentum=0.9), dv.AdamW(), dv.NAdam(), dv.Lion()],
    ids=lambda o: o.name,
)
def test_ours_pass(optimizer):
    check_optimizer(optimizer)


def test_values_equal_differences_of_retraining(tmp_path):
    samples, validation = make_samples(), make_samples(seed=2)
    training = dv.Training(optimizer=Normalised(learning_rate=0.05), epochs=3, batch_size=6)
    learner = dv.Learner(shared_model(torch_models, "mlp"), training=training, progress=False)
    run = learner.train(*samples)
    values = dv.HyDRA(learner, hessian=True).fit(*samples, run=run).score(*validation)

    def loss(weights):
        from dataval.objectives.validation import ValidationObjective

        replay = learner.prepare(*samples, run=learner.train(*samples, weights))
        from dataval.data import as_data

        return ValidationObjective(replay.program.backend, as_data(*validation), None).value(replay.final)

    move = 1e-4 * np.eye(len(samples.y))[4]
    found = (loss(1 - move) - loss(1 + move)) / 2e-4
    assert values[4] == pytest.approx(float(found), rel=1e-5)
    with pytest.raises(TypeError, match="a Normalised, a class of your own, which can't be saved"):
        run.save(tmp_path / "run")
