"""What a classifier says of its samples."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.objectives.logits import (
    batch_logits,
    check_classifier,
    logits_at,
    margins,
    probabilities,
)
from tests.runs import N, make_learner, make_samples, trained


def test_margins_by_hand():
    logits = np.array([[0.0, 1.5], [0.0, 1.5], [-2.0, -3.0]])
    np.testing.assert_array_equal(margins(logits, np.array([1, 0, 0])), [1.5, -1.5, 1.0])
    assert margins(np.array([[4.0, 1.0, 3.0]]), np.array([1])) == [-3.0]


def test_probabilities():
    np.testing.assert_allclose(probabilities(np.log([[1.0, 3.0], [2.0, 2.0]])), [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_array_equal(probabilities(np.array([[0.0, 1e4]])), [[0, 1]])


def test_logits_are_the_outputs_in_evaluation_mode(zoo):
    learner, samples, run = trained(zoo, "dropout")
    replay = learner.replay(*samples, run)
    backend, final = replay.program.backend, replay.final
    batch = backend.batches(replay.program.data).take(np.arange(N))
    expected = backend.arrays.to_numpy(backend.predict(final.parameters, final.buffers, batch))
    logits, labels = logits_at(replay.program, final)
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(labels, samples.y)


def test_batches_come_in_the_order_of_the_run(zoo):
    learner, samples, run = trained(zoo)
    steps = []
    for step, logits, labels in batch_logits(learner.replay(*samples, run), progress=False):
        assert logits.shape == (len(labels), 3)
        np.testing.assert_array_equal(labels, samples.y[run.plan.batch(step)])
        steps.append(step)
    assert steps == list(range(run.n_steps))


def test_what_is_no_classifier_is_named(zoo):
    X, y = make_samples()
    check_classifier(make_learner(zoo).prepare(X, y).program, "A")
    for targets in (np.zeros((N, 3)), np.full((N, 3), 0.5)):
        program = make_learner(zoo, loss="mse").prepare(X, targets).program
        with pytest.raises(dv.errors.InvalidDataError, match=r"^A needs a classifier .* float64 of shape"):
            check_classifier(program, "A")
