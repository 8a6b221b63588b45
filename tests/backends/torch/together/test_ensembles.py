"""Torch's ensemble: members in memory of their own, updated in place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dataval as dv
from dataval.retraining.ensemble import PlainEnsemble, make_ensemble
from dataval_torch.together.ensembles import TorchEnsemble
from tests.retraining.test_ensemble import OPTIMIZERS, WEIGHTS, prepare, trained_alone, trained_together
from tests.zoo import torch_models


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_each_is_trained_as_if_it_were_alone(optimizer):
    replay = prepare(torch_models.mlp(), optimizer=optimizer)
    ensemble, found = trained_together(replay.program, replay.initial)
    assert isinstance(ensemble, TorchEnsemble)
    expected = [trained_alone(replay.program, replay.initial, weights) for weights in WEIGHTS]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)  # fused kernels round otherwise


def test_members_part_from_the_first_with_its_state():
    """Until they part, all are the first: here for the first three updates, under its weights."""
    replay = prepare(torch_models.mlp())
    program, start = replay.program, replay.initial
    _, found = trained_together(program, start, n_alone=3)
    common = start
    for step in range(3):
        common, _ = program.with_weights(WEIGHTS[0]).step(common, step)
    for member, weights in zip(found, WEIGHTS, strict=True):
        state = common
        for step in range(3, program.plan.n_steps):
            state, _ = program.with_weights(weights).step(state, step)
        np.testing.assert_allclose(member, np.asarray(state.parameters), rtol=1e-11, atol=1e-12)


def test_running_statistics_are_each_members_own():
    replay = prepare_images()
    program, start = replay.program, replay.initial
    weights = np.linspace(0.2, 1.8, 2 * 10).reshape(2, 10)
    together = program.with_weights(weights)
    ensemble = make_ensemble(together, start, 2)
    ensemble.fork(2)
    states = [start, start]
    for step in range(program.plan.n_steps):
        ensemble.step(together, step)
        states = [program.with_weights(w).step(s, step)[0] for w, s in zip(weights, states, strict=True)]
    parameters, buffers = ensemble.arrays()
    torch.testing.assert_close(parameters, torch.stack([s.parameters for s in states]), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(buffers, torch.stack([s.buffers for s in states]), rtol=1e-10, atol=1e-12)
    assert not torch.equal(buffers[0], buffers[1])


def prepare_images():
    from tests.zoo.data import images

    training = dv.Training(epochs=2, batch_size=4, optimizer=OPTIMIZERS[0])
    return dv.Learner(torch_models.cnn_batch_norm(), training=training, progress=False).prepare(*images(10))


def test_what_no_fused_kernel_does_is_left_to_a_plain_ensemble():
    replay = prepare(torch_models.mlp(), clip_norm=1.0)
    assert isinstance(make_ensemble(replay.program, replay.initial, 2), PlainEnsemble)
