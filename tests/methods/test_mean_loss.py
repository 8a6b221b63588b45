"""Minus the mean loss over the epochs, recomputed from the states of the run."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from tests.runs import make_learner, make_samples


def test_equals_the_mean_of_losses_before_each_update(zoo):
    learner, samples = make_learner(zoo, "dropout"), make_samples("dropout")
    method = dv.MeanLoss(learner).fit(*samples)
    replay = learner.replay(*samples, method.run_)
    total = np.zeros(len(samples.y))
    for step, state in replay.forward():
        losses = replay.program.backend.arrays.to_numpy(replay.program.losses(state, step))
        total[method.run_.plan.batch(step)] += losses
    values = method.score(*make_samples("dropout", 5, seed=2))
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, -total / 3, rtol=1e-12)  # 3 epochs; the same numbers, summed again


def test_epochs_that_leave_a_sample_out_do_not_count(zoo):
    learner, samples = make_learner(zoo, drop_last=True), make_samples()
    method = dv.MeanLoss(learner).fit(*samples)
    losses = method.run_.losses
    assert np.isnan(losses).any()
    expected = [-np.mean([loss for loss in column if not np.isnan(loss)]) for column in losses.T]
    np.testing.assert_allclose(method.score(*make_samples(n=5, seed=2)), expected, rtol=1e-12)


def test_values_no_single_validation_sample(zoo):
    method = dv.MeanLoss(make_learner(zoo)).fit(*make_samples())
    with pytest.raises(TypeError, match="MeanLoss gives no values for single validation samples: use score"):
        method.attribute(*make_samples(n=5, seed=2))
