"""Retraining under many weights: the same results in groups, in processes and from a folder."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.objectives.utility import SampleObjectives, SeveralUtilities, make_utility
from dataval.objectives.validation import ValidationObjective
from dataval.retraining import retrain as retraining
from dataval.retraining.retrain import retrain, retrain_without, retraining_key
from tests.runs import TRANSFORMER, N, make_learner, make_samples

WEIGHTS = np.random.default_rng(0).uniform(0, 1.5, (7, N))


def prepared(zoo, model="mlp", **options):
    replay = make_learner(zoo, model, **options).prepare(*make_samples(model))
    validation = as_data(*make_samples(model, 8, seed=2))
    return replay, ValidationObjective(replay.program.backend, validation, None)


def retrained(replay, objective, weights=WEIGHTS, **options):
    return retrain(
        replay.program, replay.initial, weights, objective, **{"key": "a", "progress": False} | options
    )


def assert_close(found, expected):
    """Batched and single training do the same sums in another order: rounding, over 12 updates."""
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm", "dropout", TRANSFORMER])
def test_equals_training_one_by_one(zoo, model):
    replay, objective = prepared(zoo, model)
    learner, samples = make_learner(zoo, model), make_samples(model)
    expected = []
    for weights in WEIGHTS:
        run = learner.train(*samples, weights)
        expected.append(float(objective.value(learner.replay(*samples, run).final)))
    assert np.ptp(expected) > 1e-3
    np.testing.assert_array_equal(retrained(replay, objective, group_size=1), expected)
    for group_size in (2, 7, 100, None):
        assert_close(retrained(replay, objective, group_size=group_size), expected)


def test_other_optimizers_train_in_groups(zoo):
    for optimizer in (dv.Adam(learning_rate=0.01), dv.SGD(learning_rate=0.1)):
        replay, objective = prepared(zoo, optimizer=optimizer, clip_norm=0.3)
        one_by_one = retrained(replay, objective, group_size=1)
        assert_close(retrained(replay, objective, group_size=4), one_by_one)


def leave_outs(replay, at=(0, 3, 9, 12, 19)):
    """The program's own weights, twice, and one sample less in each of the others."""
    weights = np.repeat(replay.program.weights[None], 2 + len(at), axis=0)
    weights[1 + np.arange(len(at)), list(at)] = 0
    return weights


@pytest.mark.parametrize("optimizer", [dv.SGD(learning_rate=0.1, momentum=0.9, dampening=0.2), dv.Adam()])
@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm", "dropout"])
def test_runs_that_part_late_equal_training_one_by_one(zoo, model, optimizer):
    replay, objective = prepared(zoo, model, optimizer=optimizer)
    weights = leave_outs(replay)
    one_by_one = retrained(replay, objective, weights, group_size=1)
    assert len(set(one_by_one)) == len(weights) - 1
    assert_close(retrained(replay, objective, weights, group_size=100), one_by_one)
    assert_close(retrained(replay, objective, weights[1:-1], group_size=100), one_by_one[1:-1])


def test_runs_are_one_until_they_part(zoo, monkeypatch):
    """Not on TensorFlow, which would have to compile its functions for every number of models."""
    replay, objective = prepared(zoo)
    sizes, make = [], retraining.make_ensemble

    def counting(*arguments):
        ensemble = make(*arguments)
        step_of = ensemble.step
        ensemble.step = lambda *now: sizes.append(ensemble.size) or step_of(*now)
        return ensemble

    monkeypatch.setattr(retraining, "make_ensemble", counting)
    weights, plan = leave_outs(replay), replay.program.plan
    retrained(replay, objective, weights, group_size=100)
    seen = [
        sum(any(i in plan.batch(s) for s in range(t + 1)) for i in (0, 3, 9, 12, 19))
        for t in range(plan.n_steps)
    ]
    grows = replay.program.backend.name == "torch"
    assert sizes == ([1 + n for n in seen] if grows else [len(weights)] * plan.n_steps)


def test_processes_give_the_same(zoo):
    replay, objective = prepared(zoo)
    assert_close(retrained(replay, objective, n_jobs=2), retrained(replay, objective, group_size=1))


def test_starts_from_the_given_state(zoo):
    replay, objective = prepared(zoo)
    trained = make_learner(zoo).train(*make_samples())
    elsewhere = retrain(replay.program, trained.final, WEIGHTS, objective, key="a", progress=False)
    assert np.abs(elsewhere - retrained(replay, objective)).min() > 1e-4


def test_several_measures_of_the_same_runs(zoo, tmp_path):
    replay, objective = prepared(zoo)
    accuracy = make_utility("accuracy", replay.program.backend, as_data(*make_samples("mlp", 8, seed=2)))
    losses, accuracies = retrained(replay, objective), retrained(replay, accuracy)
    both = retrained(replay, SeveralUtilities([objective, accuracy]), folder=tmp_path)
    np.testing.assert_array_equal(both, np.stack([losses, accuracies], axis=1))
    np.testing.assert_array_equal(
        retrained(replay, SeveralUtilities([objective, accuracy]), folder=tmp_path), both
    )
    rows = retrained(replay, SampleObjectives(objective), group_size=3)
    assert rows.shape == (len(WEIGHTS), 8)
    assert_close(rows.mean(axis=1), losses)


# ---- really without ------------------------------------------------------------------------------


def test_removal_equals_training_on_what_is_left(zoo):
    replay, objective = prepared(zoo)
    samples, learner = make_samples(), make_learner(zoo)
    removed = np.zeros((2, N), dtype=bool)
    removed[0, 3] = removed[1, [0, 5, 9]] = True
    found = retrain_without(replay.program, replay.initial, removed, objective, key="a", progress=False)
    for row, value in zip(removed, found, strict=True):
        left = samples.X[~row], samples.y[~row]
        final = learner.replay(*left, learner.train(*left)).final
        assert value == float(objective.value(final))


def test_removal_keeps_the_weights_of_the_others(zoo, tmp_path):
    learner, samples = make_learner(zoo), make_samples()
    weights = np.linspace(0.5, 1.5, N)
    removed = np.eye(N, dtype=bool)[:1]
    results = []
    for given in (None, weights):
        replay = learner.prepare(*samples, given)
        objective = ValidationObjective(replay.program.backend, as_data(*make_samples("mlp", 8, seed=2)), None)
        options = {"key": "a", "progress": False, "folder": tmp_path}
        results += [retrain_without(replay.program, replay.initial, removed, objective, **options)]
    left = samples.X[1:], samples.y[1:]
    final = learner.replay(*left, learner.train(*left, weights[1:])).final
    assert results[1][0] == float(objective.value(final)) != results[0][0]


def test_removal_of_too_many_is_refused(zoo):
    replay, objective = prepared(zoo)
    removed = np.ones((1, N), dtype=bool)
    removed[0, 0] = False
    with pytest.raises(dv.errors.InvalidDataError, match="batch_size"):
        retrain_without(replay.program, replay.initial, removed, objective, key="a", progress=False)


def test_key_names_all_that_decides(zoo):
    samples, validation = make_samples(), as_data(*make_samples("mlp", 8, seed=2))
    replay = make_learner(zoo).prepare(*samples)
    base = retraining_key(replay, validation, "loss")
    assert base == retraining_key(make_learner(zoo).prepare(*samples), validation, "loss")
    others = [
        retraining_key(replay, validation, "accuracy"),
        retraining_key(replay, as_data(*make_samples("mlp", 9, seed=2)), "loss"),
        retraining_key(make_learner(zoo, epochs=4).prepare(*samples), validation, "loss"),
        retraining_key(make_learner(zoo, seed=2).prepare(*samples), validation, "loss"),
        retraining_key(make_learner(zoo).prepare(samples.X + 1, samples.y), validation, "loss"),
    ]
    assert len({base, *others}) == 6


# ---- the folder ----------------------------------------------------------------------------------


@pytest.fixture
def groups(monkeypatch):
    """Count the groups that are trained, and how many runs each has; fail at one of them if told."""
    sizes, train = [], retraining._train
    sizes_and_failure = {"sizes": sizes, "fails_at": None}

    def counted(shared, changes):
        if sizes_and_failure["fails_at"] == len(sizes):
            raise KeyboardInterrupt
        sizes.append(len(changes.samples))
        return train(shared, changes)

    monkeypatch.setattr(retraining, "_train", counted)
    return sizes_and_failure


def test_finished_results_are_looked_up(zoo, tmp_path, groups):
    replay, objective = prepared(zoo)
    folder = tmp_path / "deep" / "cache"
    first = retrained(replay, objective, folder=folder, group_size=3)
    assert groups["sizes"] == [3, 2, 2]
    np.testing.assert_array_equal(retrained(replay, objective, folder=folder), first)
    np.testing.assert_array_equal(retrained(replay, objective, WEIGHTS[::-1], folder=folder), first[::-1])
    assert groups["sizes"] == [3, 2, 2]
    more = np.concatenate([WEIGHTS, 1 + WEIGHTS[:2]])
    np.testing.assert_array_equal(retrained(replay, objective, more, folder=folder)[:7], first)
    assert groups["sizes"] == [3, 2, 2, 2]


def test_results_of_another_key_are_not_used(zoo, tmp_path, groups):
    replay, objective = prepared(zoo)
    retrained(replay, objective, folder=tmp_path, group_size=7)
    retrained(replay, objective, folder=tmp_path, group_size=7, key="b")
    assert groups["sizes"] == [7, 7]


def test_an_interruption_keeps_what_was_finished(zoo, tmp_path, groups):
    replay, objective = prepared(zoo)
    expected = retrained(replay, objective, group_size=2)
    groups["sizes"].clear()
    groups["fails_at"] = 2
    with pytest.raises(KeyboardInterrupt):
        retrained(replay, objective, folder=tmp_path, group_size=2)
    (path,) = (tmp_path / "retrained-a").iterdir()
    assert len(path.read_text().splitlines()) == 4
    groups["fails_at"] = None
    assert_close(retrained(replay, objective, folder=tmp_path, group_size=2), expected)
    assert groups["sizes"] == [2, 2, 2, 1]


def test_nothing_is_written_without_a_folder(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    retrained(*prepared(zoo))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"group_size": 0}, {"group_size": -1}, {"n_jobs": 0}])
def test_refuses_nonsense(zoo, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        retrained(*prepared(zoo), **options)


def test_what_is_kept_is_kept_in_small_groups(zoo, tmp_path, monkeypatch):
    """An interruption loses the group that is under way, so groups are small where results are kept."""
    sizes = []
    train = retraining._train
    monkeypatch.setattr(
        retraining, "_train", lambda *args: (sizes.append(len(args[1].samples)), train(*args))[1]
    )
    learner, samples, validation = make_learner(zoo, epochs=1), make_samples(), make_samples(n=4, seed=2)
    options = {"n_subsets": 40, "fraction": 0.2}
    dv.evaluation.retrain_subsets(learner, *samples, *validation, **options)
    assert sizes == [41]
    sizes.clear()
    dv.evaluation.retrain_subsets(learner, *samples, *validation, folder=tmp_path, **options)
    assert sizes == [14, 14, 13]
