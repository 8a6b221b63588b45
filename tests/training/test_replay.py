"""Walking through recorded runs, whatever was kept of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dataval as dv
from dataval.errors import ReplayError, ReplayWarning, RunMismatchError
from tests.runs import assert_same_state, make_learner, make_samples

MOMENTUM = dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.01)
CASES = [
    ("mlp", MOMENTUM),
    ("mlp", dv.Adam(learning_rate=0.01)),
    ("dropout", MOMENTUM),
    ("cnn_batch_norm", MOMENTUM),
]
IDS = [f"{model}-{optimizer.name}" for model, optimizer in CASES]
EVERY = {f"every_{k}": dv.Checkpoints(every=k) for k in (1, 2, 5, 12, 100)}
POLICIES = EVERY | {f"bytes_for_{k}": k for k in (1, 4, 5, 6, 8, 13)}


def policy_of(name, state_bytes):
    policy = POLICIES[name]
    return dv.Checkpoints(max_bytes=policy * state_bytes) if isinstance(policy, int) else policy


def record(zoo, model, optimizer, policy=None):
    samples = make_samples(model)
    learner = make_learner(zoo, model, optimizer=optimizer, checkpoints=dv.Checkpoints(every=1))
    full = learner.train(*samples)
    if policy is not None:
        learner.set_params(checkpoints=policy_of(policy, full.state_bytes))
    return learner, samples, full


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("model", "optimizer"), CASES, ids=IDS)
def test_both_walks_give_exactly_the_recorded_states(zoo, model, optimizer, policy):
    learner, samples, full = record(zoo, model, optimizer, policy)
    assert sorted(full.checkpoints) == list(range(13))
    run = learner.train(*samples)
    replay = learner.replay(*samples, run)
    for walk, order in ((replay.forward, range(12)), (replay.backward, reversed(range(12)))):
        steps = []
        for step, state in walk():
            steps.append(step)
            assert_same_state(state, full.checkpoints[step])
        assert steps == list(order)
    assert_same_state(replay.final, full.final)
    np.testing.assert_array_equal(run.losses, full.losses)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("every_1", list(range(13))),
        ("every_5", [0, 5, 10, 12]),
        ("every_12", [0, 12]),
        ("every_100", [0, 12]),
        ("bytes_for_13", list(range(13))),
        ("bytes_for_6", [0, 4, 8, 12]),
        ("bytes_for_1", [0, 6, 12]),
    ],
)
def test_keeps_what_the_policy_says(zoo, policy, kept):
    learner, samples, _ = record(zoo, "mlp", MOMENTUM, policy)
    assert sorted(learner.train(*samples).checkpoints) == kept


@pytest.mark.parametrize("policy", ["every_5", "bytes_for_1"])
def test_a_loaded_run_is_walked_alike(zoo, tmp_path, policy):
    learner, samples, full = record(zoo, "cnn_batch_norm", MOMENTUM, policy)
    run = dv.TrainingRun.load(learner.train(*samples).save(tmp_path / "run"))
    for step, state in learner.replay(*samples, run).backward():
        assert_same_state(state, full.checkpoints[step])


def test_weights_of_the_run_are_replayed(zoo):
    learner, samples = make_learner(zoo, checkpoints=dv.Checkpoints(every=4)), make_samples()
    weights = np.random.default_rng(0).uniform(0, 2, len(samples.y))
    run = learner.train(*samples, weights)
    learner.set_params(checkpoints=dv.Checkpoints(every=1))
    full = learner.train(*samples, weights)
    for step, state in learner.replay(*samples, run).forward():
        assert_same_state(state, full.checkpoints[step])


@pytest.mark.parametrize("walk", ["forward", "backward"])
class TestChecks:
    """The first stretch that is replayed is compared with what was recorded."""

    def moved(self, zoo, by):
        learner, samples = make_learner(zoo, checkpoints=dv.Checkpoints(every=5)), make_samples()
        run = learner.train(*samples)
        checkpoints = {
            step: state if step == 0 else replace(state, parameters=state.parameters * (1 + by))
            for step, state in run.checkpoints.items()
        }
        return learner.replay(*samples, replace(run, checkpoints=checkpoints))

    def test_another_course_is_an_error(self, zoo, walk):
        with pytest.raises(ReplayError, match=r"differ from the recorded ones by .*no seed controls"):
            list(getattr(self.moved(zoo, 0.5), walk)())

    def test_rounding_is_a_warning(self, zoo, walk):
        with pytest.warns(ReplayWarning, match=r"differs from the recorded run by .*recorded with"):
            list(getattr(self.moved(zoo, 1e-9), walk)())

    def test_the_same_course_is_neither(self, zoo, walk):
        list(getattr(self.moved(zoo, 0.0), walk)())


def test_a_warning_comes_once(zoo):
    replay = TestChecks().moved(zoo, 1e-9)
    with pytest.warns(ReplayWarning):
        list(replay.backward())
    list(replay.forward())  # where a second one would be an error


def test_an_unfinished_run_is_refused(zoo):
    learner, samples = make_learner(zoo), make_samples()
    run = learner.prepare(*samples).run
    with pytest.raises(RunMismatchError, match=r"interrupted after 0 of 12 updates: finish it"):
        learner.replay(*samples, run)


@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm", "dropout"])
def test_exports_the_trained_model_in_evaluation_mode(zoo, model):
    learner, samples = make_learner(zoo, model), make_samples(model)
    replay = learner.replay(*samples, learner.train(*samples))
    backend, data = replay.program.backend, replay.program.data
    again = dv.Learner(replay.export(), training=learner.training).prepare(*samples).program.backend
    batches = backend.batches(data).take(np.arange(len(data)))
    outputs = backend.predict(replay.final.parameters, replay.final.buffers, batches)
    np.testing.assert_array_equal(
        backend.arrays.to_numpy(again.predict(*again.initial(), batches)), backend.arrays.to_numpy(outputs)
    )
    start = backend.arrays.to_numpy(backend.predict(*backend.initial(), batches))
    assert np.abs(start - backend.arrays.to_numpy(outputs)).max() > 1e-3
