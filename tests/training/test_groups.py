"""Groups of parameters and schedules of momenta, trained end to end on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.objectives.validation import ValidationObjective
from tests.runs import make_learner, make_samples

SETTINGS = {
    "groups": {
        "optimizer": dv.AdamW(
            learning_rate=0.02,
            weight_decay=0.2,
            epsilon=1e-3,
            groups={"*bias*": {"weight_decay": 0.0, "learning_rate": 0.05}},
        )
    },
    "groups of SGD under one cycle": {
        "optimizer": dv.SGD(
            learning_rate=0.1,
            momentum=0.9,
            weight_decay=0.1,
            groups={"*bias*": {"weight_decay": 0.0, "momentum": 0.5}},
        ),
        "schedule": dv.OneCycleSchedule(),
    },
}


def validation_loss(learner, samples, validation, weights):
    replay = learner.prepare(*samples, run=learner.train(*samples, weights))
    return float(ValidationObjective(replay.program.backend, as_data(*validation), None).value(replay.final))


@pytest.mark.parametrize("name", SETTINGS)
def test_values_equal_differences_of_retraining(zoo, name):
    learner = make_learner(zoo, "mlp", **SETTINGS[name])
    samples, validation = make_samples(), make_samples(seed=2)
    run = learner.train(*samples)
    assert run.plan.hyperparameters.n_groups == 2
    values = dv.HyDRA(learner, hessian=True).fit(*samples, run=run).score(*validation)
    for j in (0, 13):
        move = 1e-4 * np.eye(len(samples.y))[j]
        ends = [validation_loss(learner, samples, validation, 1 + sign * move) for sign in (-1, 1)]
        assert values[j] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=1e-9)


def test_tracin_and_influence_know_groups(zoo):
    """By brute force: the products of gradients, each parameter at its own rate and decay."""
    learner = make_learner(zoo, "mlp", epochs=1, **SETTINGS["groups of SGD under one cycle"])
    samples, validation = make_samples(), make_samples(seed=2)
    run = learner.train(*samples)
    replay = learner.replay(*samples, run)
    backend, plan = replay.program.backend, run.plan
    final, batches = replay.final, backend.batches(as_data(*samples))
    own = backend.arrays.to_numpy(
        backend.objective().rows(final.parameters, final.buffers, batches.take(np.arange(len(samples.y))))[0]
    )
    measure = ValidationObjective(backend, as_data(*validation), None)
    gradient = backend.arrays.to_numpy(measure.gradient(final)[0])
    sizes = [int(np.prod(shape)) for _, shape in run.signature.parameters]
    groups = np.repeat(plan.hyperparameters.groups, sizes)
    expected = np.zeros(len(samples.y))
    for step in range(plan.n_steps):
        rates = plan.hyperparameters.learning_rates[step][groups]
        batch = plan.batch(step)
        expected[batch] += (own[batch] @ (rates * gradient)) / plan.batch_size
    found = dv.TracIn(learner).fit(*samples, run=run).score(*validation)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())

    influence = dv.InfluenceFunction(learner, solver="exact", damping=0.3).fit(*samples, run=run)
    scale = plan.coefficients.sum() / (plan.n_samples * plan.n_steps)
    curvature = np.stack(
        [
            backend.arrays.to_numpy(
                backend.objective().gauss_newton_products(
                    final.parameters,
                    final.buffers,
                    batches.take(np.arange(len(samples.y))),
                    backend.arrays.from_numpy(np.full(len(samples.y), scale)),
                    backend.arrays.from_numpy(row),
                )
            )
            for row in np.eye(len(gradient))
        ]
    )
    decay = np.where(groups == 0, 0.1, 0.0)
    solved = np.linalg.solve(curvature + np.diag(decay + 0.3), gradient)
    np.testing.assert_allclose(influence.score(*validation), scale * own @ solved, rtol=1e-8, atol=1e-12)


def test_retraining_knows_groups(zoo):
    """Leave-one-out of many at once equals one by one."""
    learner = make_learner(zoo, "mlp", epochs=1, **SETTINGS["groups"])
    samples, validation = make_samples(), make_samples(seed=2)
    found = [
        dv.LeaveOneOut(learner, group_size=size, indices=[0, 5, 9]).fit(*samples).score(*validation)[[0, 5, 9]]
        for size in (1, 3)
    ]
    np.testing.assert_allclose(*found, rtol=1e-8)


def test_a_pattern_that_fits_nothing(zoo):
    learner = make_learner(
        zoo, "mlp", optimizer=dv.SGD(learning_rate=0.1, groups={"nothing*": {"momentum": 0.1}})
    )
    with pytest.raises(ValueError, match=r"no parameter fits 'nothing\*'; there are"):
        learner.train(*make_samples())
