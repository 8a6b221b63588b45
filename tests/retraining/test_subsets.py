"""Retraining without subsets against training without them one by one, and truths on disk."""

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.evaluation import SubsetTruth, linear_datamodeling_score, retrain_subsets
from dataval.objectives.validation import ValidationObjective
from tests.runs import N, make_learner, make_samples


@pytest.fixture
def validation():
    return make_samples("mlp", 8, seed=2)


def test_equals_training_without_each_subset(zoo, validation):
    learner, samples = make_learner(zoo), make_samples()
    truth = retrain_subsets(learner, *samples, *validation, n_subsets=4, fraction=0.15)
    assert truth.removed.shape == (4, N)
    assert (truth.removed.sum(axis=1) == 3).all()
    assert truth.fraction == pytest.approx(0.15)

    def loss(weights):
        replay = learner.replay(*samples, learner.train(*samples, weights))
        return ValidationObjective(replay.program.backend, as_data(*validation), None).value(replay.final)

    base = loss(np.ones(N))
    expected = [loss(1.0 - row) - base for row in truth.removed]
    # One by one and in groups sum in another order: rounding.
    np.testing.assert_allclose(truth.changes, expected, rtol=1e-9, atol=1e-12)


def test_given_subsets(zoo, validation):
    learner, samples = make_learner(zoo), make_samples()
    options = {"n_subsets": 3, "fraction": 0.2}
    drawn = retrain_subsets(learner, *samples, *validation, **options)
    given = retrain_subsets(learner, *samples, *validation, removed=drawn.removed[::-1])
    np.testing.assert_allclose(given.changes, drawn.changes[::-1], rtol=1e-9)
    single = retrain_subsets(learner, *samples, *validation, removed=np.eye(N, dtype=bool)[[4]])
    weights = np.ones(N)
    weights[4] = 0.0
    losses = []
    for each in (weights, None):
        replay = learner.replay(*samples, learner.train(*samples, each))
        objective = ValidationObjective(replay.program.backend, as_data(*validation), None)
        losses.append(float(objective.value(replay.final)))
    assert single.changes[0] == pytest.approx(losses[0] - losses[1], rel=1e-9)
    for removed, message in [
        (np.ones((1, N)), "mask of shape"),
        (np.ones((1, N - 1), dtype=bool), "mask of shape"),
        (np.ones((1, N), dtype=bool), "nothing to train on"),
    ]:
        with pytest.raises(ValueError, match=message):
            retrain_subsets(learner, *samples, *validation, removed=removed)


def test_utilities_where_greater_is_better_are_turned_round(zoo, validation):
    def minus_loss_like(outputs, targets):
        return -float(np.square(outputs).sum())

    def loss_like(outputs, targets):
        return float(np.square(outputs).sum())

    learner, samples = make_learner(zoo), make_samples()
    options = {"n_subsets": 3, "fraction": 0.2}
    plus = retrain_subsets(learner, *samples, *validation, utility=loss_like, **options)
    minus = retrain_subsets(learner, *samples, *validation, utility=minus_loss_like, **options)
    np.testing.assert_allclose(plus.changes, -minus.changes, rtol=1e-12)
    accuracy = retrain_subsets(learner, *samples, *validation, utility="accuracy", **options)
    assert (np.abs(accuracy.changes * 8 - np.round(accuracy.changes * 8)) < 1e-9).all()


BESIDE = ("baselines", "loss", "accuracy")
"""What only verify knows, as it has the run."""


def test_verify_is_the_score_of_the_same_truth(zoo, validation, tmp_path):
    learner, samples = make_learner(zoo), make_samples()
    hydra = dv.HyDRA(learner, hessian=True).fit(*samples)
    options = {"n_subsets": 5, "fraction": 0.1, "seed": 3, "folder": tmp_path}
    verified = hydra.verify(*validation, **options)
    values = hydra.score(*validation)
    for run in (hydra.run_, None):  # with a run, and without one: the same training, looked up
        truth = retrain_subsets(learner, *samples, *validation, run=run, **options)
        found = linear_datamodeling_score(values, truth, seed=3)
        assert verified.model_copy(update=dict.fromkeys(BESIDE)) == found
    assert len(list(tmp_path.iterdir())) == 1


def test_subsets_are_removed_from_what_a_runs_weights_leave(zoo, validation):
    learner, samples = make_learner(zoo), make_samples()
    run = learner.train(*samples, np.arange(N) % 2 + 0.0)
    weighted = retrain_subsets(learner, *samples, *validation, run=run, n_subsets=3, fraction=0.1)
    plain = retrain_subsets(learner, *samples, *validation, n_subsets=3, fraction=0.1)
    np.testing.assert_array_equal(weighted.removed, plain.removed)
    assert np.abs(weighted.changes - plain.changes).max() > 1e-6


def test_seed_decides_the_subsets(zoo, validation):
    masks = [
        retrain_subsets(
            make_learner(zoo, epochs=1), *make_samples(), *validation, n_subsets=3, fraction=0.2, seed=seed
        ).removed
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


@pytest.mark.parametrize("n_samples", [8, 13])
def test_saved_and_loaded(tmp_path, n_samples):
    rng = np.random.default_rng(0)
    truth = SubsetTruth(rng.random((5, n_samples)) < 0.5, rng.normal(size=5))
    path = truth.save(tmp_path / "deep" / "truth.npz")
    loaded = SubsetTruth.load(path)
    np.testing.assert_array_equal(loaded.removed, truth.removed)
    np.testing.assert_array_equal(loaded.changes, truth.changes)
    assert loaded.n_samples == n_samples


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "other.npz").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"other.npz holds no subset truth"):
        SubsetTruth.load(tmp_path / "other.npz")
    np.savez(tmp_path / "more.npz", removed=np.zeros((2, 2), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"more.npz holds no subset truth"):
        SubsetTruth.load(tmp_path / "more.npz")
    with pytest.raises(FileNotFoundError):
        SubsetTruth.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("removed", "changes", "message"),
    [
        (np.zeros((2, 3)), np.zeros(2), "mask of shape"),
        (np.zeros(3, dtype=bool), np.zeros(3), "mask of shape"),
        (np.zeros((2, 3), dtype=bool), np.zeros(3), r"shape \(2,\)"),
        (np.zeros((2, 3), dtype=bool), np.array([0.0, np.nan]), "finite"),
    ],
)
def test_nonsense_is_refused(removed, changes, message):
    with pytest.raises(ValueError, match=message):
        SubsetTruth(removed, changes)


def test_bad_fractions_are_refused_before_training(zoo, validation):
    for options, message in (
        ({"fraction": 0.001}, "removes 0 of 20"),
        ({"fraction": 1.0}, "removes 20 of 20"),
        ({"n_subsets": 2}, "at least 3"),
    ):
        with pytest.raises(ValueError, match=message):
            retrain_subsets(make_learner(zoo), *make_samples(), *validation, **{"fraction": 0.1} | options)
