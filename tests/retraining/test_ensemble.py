"""Models that are trained together are those that are trained alone, by whatever is registered to do it."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.retraining.ensemble import PlainEnsemble, make_ensemble
from tests.numpy_backend import SoftmaxRegression
from tests.zoo.data import features

SAMPLES = features(10, seed=1)
WEIGHTS = np.random.default_rng(0).uniform(0.5, 1.5, (3, 10))
OPTIMIZERS = [dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.02), dv.AdamW(learning_rate=0.02)]


def prepare(model, **training):
    settings = {"epochs": 2, "batch_size": 4, "seed": 1, "optimizer": OPTIMIZERS[0]} | training
    return dv.Learner(model, training=dv.Training(**settings), progress=False).prepare(*SAMPLES)


def numpy_model():
    rng = np.random.default_rng(0)
    return SoftmaxRegression(rng.normal(size=(6, 3)), rng.normal(size=3))


def trained_alone(program, start, weights):
    own = program.with_weights(weights)
    for step in range(program.plan.n_steps):
        start, _ = own.step(start, step)
    return np.asarray(start.parameters)


def trained_together(program, start, n_alone=0):
    """All members, of which the first is alone for some updates, under its weights."""
    together = program.with_weights(WEIGHTS)
    ensemble = make_ensemble(together, start, len(WEIGHTS))
    for step in range(program.plan.n_steps):
        ensemble.fork(1 if step < n_alone else len(WEIGHTS))
        ensemble.step(together, step)
    return ensemble, np.asarray(ensemble.arrays()[0])


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_a_plain_ensemble_trains_each_as_if_it_were_alone(numpy_backend, optimizer, clip_norm):
    replay = prepare(numpy_model(), optimizer=optimizer, clip_norm=clip_norm)
    ensemble, found = trained_together(replay.program, replay.initial)
    assert type(ensemble) is PlainEnsemble
    assert ensemble.size == 3
    expected = [trained_alone(replay.program, replay.initial, weights) for weights in WEIGHTS]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)  # batched products round otherwise


def test_what_is_registered_under_the_backends_name_is_used(numpy_backend, register):
    replay, asked = prepare(numpy_model()), []

    class Fast(PlainEnsemble):
        pass

    def make(program, start, capacity):
        asked.append((program.backend, program.training, capacity))
        return Fast(program.backend.arrays, start, capacity)

    register("numpy", lambda: make, group="dataval.ensembles")
    ensemble, _ = trained_together(replay.program, replay.initial)
    assert type(ensemble) is Fast
    assert asked == [(replay.program.backend, replay.program.training, 3)]


def test_what_it_leaves_to_others_is_done_plainly(numpy_backend, register):
    replay = prepare(numpy_model())
    register("numpy", lambda: lambda *_: None, group="dataval.ensembles")
    assert type(trained_together(replay.program, replay.initial)[0]) is PlainEnsemble
