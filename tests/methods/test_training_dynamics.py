"""Rankings from a run's own predictions, against plain loops over its states."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import dataval as dv
from tests.runs import N, make_learner, make_samples

RANKINGS = [dv.AreaUnderMargin, dv.ProbabilityMargin, dv.ForgettingEvents, dv.EL2N, dv.GraNd]


def seen_logits(learner, samples, run):
    """Every sample's logits in evaluation mode before each update that saw it, in order: lists of rows."""
    replay = learner.replay(*samples, run)
    found = [[] for _ in samples.y]
    for step, state in replay.forward():
        for j in run.plan.batch(step):
            found[j].append(logits_of(replay, state, samples, j))
    return found


def logits_of(replay, state, samples, j):
    backend = replay.program.backend
    batch = backend.batches(dv.data.as_data(samples.X[j : j + 1], samples.y[j : j + 1])).take(np.arange(1))
    return backend.arrays.to_numpy(backend.predict(state.parameters, state.buffers, batch))[0]


@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm", "dropout"])
def test_area_under_margin(zoo, model):
    learner, samples = make_learner(zoo, model), make_samples(model)
    method = dv.AreaUnderMargin(learner).fit(*samples)
    expected = [
        np.mean([row[label] - max(np.delete(row, label)) for row in rows])
        for rows, label in zip(seen_logits(learner, samples, method.run_), samples.y, strict=True)
    ]
    np.testing.assert_allclose(method.score(*make_samples(model, 4)), expected, rtol=1e-10, atol=1e-12)


def test_forgetting_events(zoo):
    learner, samples = make_learner(zoo, epochs=12, optimizer=dv.SGD(learning_rate=2.0)), make_samples()
    method = dv.ForgettingEvents(learner).fit(*samples)
    values = method.score(*make_samples(n=4))
    events = np.zeros(N)
    for j, rows in enumerate(seen_logits(learner, samples, method.run_)):
        right = [row.argmax() == samples.y[j] for row in rows]
        forgotten = sum(before and not after for before, after in pairwise(right))
        events[j] = forgotten if any(right) else 12
    assert len({*events}) > 2
    np.testing.assert_array_equal(values, -events)


@pytest.mark.parametrize(("epoch", "step"), [(None, 4), (0, 0), (2, 8), (3, 12)])
def test_early_scores(zoo, epoch, step):
    learner, samples = make_learner(zoo), make_samples()  # 3 epochs of 4 updates
    run = learner.train(*samples)
    replay = learner.replay(*samples, run)
    state = [*(s for _, s in replay.forward()), replay.final][step]
    errors, norms = [], []
    for j, label in enumerate(samples.y):
        logits = logits_of(replay, state, samples, j)
        probabilities = np.exp(logits) / np.exp(logits).sum()
        errors.append(np.sqrt(((probabilities - np.eye(len(logits))[label]) ** 2).sum()))
        backend = replay.program.backend
        batch = backend.batches(dv.data.as_data(samples.X[j : j + 1], samples.y[j : j + 1])).take(np.arange(1))
        gradient = backend.objective().gradient(state.parameters, state.buffers, batch)[0]
        norms.append(np.linalg.norm(backend.arrays.to_numpy(gradient)))
    validation = make_samples(n=4)
    el2n = dv.EL2N(learner, epoch=epoch).fit(*samples, run=run).score(*validation)
    grand = dv.GraNd(learner, epoch=epoch).fit(*samples, run=run).score(*validation)
    np.testing.assert_allclose(el2n, -np.array(errors), rtol=1e-10)
    np.testing.assert_allclose(grand, -np.array(norms), rtol=1e-10)


@pytest.mark.parametrize("method", RANKINGS)
def test_kept_states_do_not_matter(zoo, method):
    samples, validation = make_samples("dropout"), make_samples("dropout", 4, seed=2)
    few = make_learner(zoo, "dropout", checkpoints=dv.Checkpoints(every=5))
    expected = method(make_learner(zoo, "dropout")).fit(*samples).score(*validation)
    np.testing.assert_allclose(method(few).fit(*samples).score(*validation), expected, rtol=1e-10)


@pytest.mark.parametrize("method", RANKINGS[:3])
def test_what_is_no_classifier_is_named_before_training(zoo, method):
    samples = make_samples("mlp")
    targets = np.random.default_rng(0).normal(size=(N, 3))
    learner = make_learner(zoo, "mlp", loss="mse")
    with pytest.raises(dv.errors.InvalidDataError, match=f"{method.__name__} needs a classifier"):
        method(learner).fit(samples.X, targets)


@pytest.mark.parametrize("method", [dv.EL2N, dv.GraNd])
@pytest.mark.parametrize("epoch", [-1, 4])
def test_epochs_beyond_the_run_are_named(zoo, method, epoch):
    with pytest.raises(ValueError, match=r"epoch must lie in 0 \.\.\. 3"):
        method(make_learner(zoo), epoch=epoch).fit(*make_samples())
