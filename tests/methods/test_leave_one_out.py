"""Leave-one-out against training one run after another."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.svm import LinearSVC

import dataval as dv
from dataval.data import as_data
from dataval.objectives.validation import ValidationObjective
from tests.runs import N, make_learner, make_samples

CHOSEN = [0, 3, 11, 19]
OPTIMIZERS = {"sgd": dv.SGD(learning_rate=0.1, momentum=0.9), "adam": dv.Adam(learning_rate=0.01)}


def loss_after(learner, samples, weights, validation):
    replay = learner.replay(*samples, learner.train(*samples, weights))
    return float(ValidationObjective(replay.program.backend, as_data(*validation), None).value(replay.final))


def one_after_another(learner, samples, validation, indices=CHOSEN, weights=None):
    weights = np.ones(len(samples[1])) if weights is None else weights
    full = loss_after(learner, samples, weights, validation)
    without = [weights * (np.arange(len(weights)) != j) for j in indices]
    return np.array([loss_after(learner, samples, w, validation) - full for w in without])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm", "cnn_max_pool", "dropout"])
def test_vectorised_equals_one_after_another(zoo, model, optimizer):
    learner = make_learner(zoo, model, optimizer=OPTIMIZERS[optimizer])
    samples, validation = make_samples(model), make_samples(model, 8, seed=2)
    expected = one_after_another(learner, samples, validation)
    values = dv.LeaveOneOut(learner, indices=CHOSEN).fit(*samples).score(*validation)
    np.testing.assert_allclose(values[CHOSEN], expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert np.isnan(np.delete(values, CHOSEN)).all()


def test_workers_groups_and_folders_do_not_change_values(zoo, tmp_path):
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples("mlp", 8, seed=2)
    run = learner.train(*samples)
    found = [
        dv.LeaveOneOut(learner, **options).fit(*samples, run=run).score(*validation)
        for options in ({}, {"n_jobs": 2}, {"group_size": 3}, {"folder": tmp_path}, {"folder": tmp_path})
    ]
    assert len(list(tmp_path.iterdir())) == 1
    for values in found[1:]:
        np.testing.assert_allclose(values, found[0], rtol=0, atol=1e-10 * np.abs(found[0]).max())
    assert not np.isnan(found[0]).any()


def test_attribute_has_a_row_for_every_validation_sample(zoo):
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples("mlp", 8, seed=2)
    truth = dv.LeaveOneOut(learner, indices=CHOSEN).fit(*samples)
    matrix = truth.attribute(*validation)
    assert matrix.shape == (8, N)
    np.testing.assert_allclose(matrix.mean(axis=0), truth.score(*validation), atol=1e-12)
    row = truth.score(validation.X[2:3], validation.y[2:3])
    np.testing.assert_allclose(matrix[2], row, atol=1e-12)


def test_self_scores_are_rises_of_own_losses(zoo):
    learner, samples = make_learner(zoo), make_samples()
    values = dv.LeaveOneOut(learner, indices=CHOSEN).fit(*samples).self_scores()
    for j in CHOSEN:
        own = samples.X[j : j + 1], samples.y[j : j + 1]
        expected = one_after_another(learner, samples, own, [j])[0]
        assert values[j] == pytest.approx(expected, rel=1e-8)
        assert values[j] > 0


def test_seeds_are_averaged(zoo):
    samples, validation = make_samples(), make_samples("mlp", 8, seed=2)
    each = np.stack([one_after_another(make_learner(zoo, seed=s), samples, validation) for s in (4, 5, 6)])
    truth = dv.LeaveOneOut(make_learner(zoo), indices=CHOSEN, seeds=[4, 5, 6]).fit(*samples)
    values = truth.score(*validation)
    np.testing.assert_allclose(values[CHOSEN], each.mean(axis=0), rtol=1e-8)
    error = truth.diagnostics_["standard_error"]
    np.testing.assert_allclose(error[CHOSEN], each.std(axis=0, ddof=1) / 3**0.5, rtol=1e-7)
    assert truth.diagnostics_["utility"].shape == (3,)
    assert np.isnan(dv.LeaveOneOut(make_learner(zoo), indices=[0]).fit(*samples).score(*validation)[1])


def test_removal_trains_on_what_is_left(zoo):
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples("mlp", 8, seed=2)
    values = dv.LeaveOneOut(learner, indices=CHOSEN, mode="removal").fit(*samples).score(*validation)
    full = loss_after(learner, samples, None, validation)
    for j in CHOSEN:
        left = np.delete(samples.X, j, axis=0), np.delete(samples.y, j)
        assert values[j] == loss_after(learner, left, None, validation) - full


def test_removal_under_groups_of_parameters(zoo):
    """Whose names the plan without a sample needs."""
    samples, validation = make_samples(), make_samples("mlp", 8, seed=2)
    learner = make_learner(zoo)
    names = [name for name, _ in learner.prepare(*samples).program.backend.signature.parameters]
    learner = make_learner(zoo, optimizer=dv.SGD(learning_rate=0.1, groups={names[0]: {"learning_rate": 0.01}}))
    values = dv.LeaveOneOut(learner, indices=[4], mode="removal").fit(*samples).score(*validation)
    left = np.delete(samples.X, 4, axis=0), np.delete(samples.y, 4)
    expected = loss_after(learner, left, None, validation) - loss_after(learner, samples, None, validation)
    assert values[4] == expected


def test_weights_of_the_run_count(zoo):
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples("mlp", 8, seed=2)
    weights = np.linspace(0.5, 1.5, N)
    run = learner.train(*samples, weights)
    values = dv.LeaveOneOut(learner, indices=CHOSEN).fit(*samples, run=run).score(*validation)
    expected = one_after_another(learner, samples, validation, weights=weights)
    np.testing.assert_allclose(values[CHOSEN], expected, rtol=1e-8)


def test_a_score_has_the_sign_of_a_loss(zoo):
    """With the log loss as a score, whose greater is better, values are the same as with the loss."""
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples("mlp", 60, seed=2)
    run = learner.train(*samples)
    loss, score = (
        dv.LeaveOneOut(learner, utility=utility).fit(*samples, run=run).score(*validation)
        for utility in ("loss", "neg_log_loss")
    )
    np.testing.assert_allclose(score, loss, rtol=1e-8)
    accuracy = dv.LeaveOneOut(learner, utility="accuracy").fit(*samples, run=run)
    steps = accuracy.score(*validation) * 60
    np.testing.assert_allclose(steps, steps.round(), atol=1e-9)
    with pytest.raises(TypeError, match="use score"):
        accuracy.attribute(*validation)


def test_exact_hydra_of_a_calm_run_agrees(zoo):
    options = {"optimizer": dv.SGD(learning_rate=0.05), "batch_size": 20}
    learner = make_learner(zoo, "softmax_regression", **options)
    samples, validation = make_samples("softmax_regression", 200), make_samples("mlp", 50, seed=2)
    hydra = dv.HyDRA(learner, hessian=True).fit(*samples)
    truth = dv.LeaveOneOut(learner).fit(*samples, run=hydra.run_)
    # One of 200 samples in a convex problem: the second order is some percent of the first.
    assert np.corrcoef(hydra.score(*validation), truth.score(*validation))[0, 1] > 0.99


# ---- estimators of scikit-learn ------------------------------------------------------------------


@pytest.fixture
def data():
    samples, validation = make_samples(), make_samples("mlp", 30, seed=2)
    return samples, validation


def test_classifier(data):
    samples, validation = data
    expected = [log_loss(validation.y, LogisticRegression().fit(*samples).predict_proba(validation.X))]
    for j in range(N):
        fitted = LogisticRegression().fit(np.delete(samples.X, j, axis=0), np.delete(samples.y, j))
        expected.append(log_loss(validation.y, fitted.predict_proba(validation.X)))
    for n_jobs in (1, 2):
        truth = dv.LeaveOneOut(LogisticRegression(), n_jobs=n_jobs).fit(*samples)
        np.testing.assert_allclose(truth.score(*validation), np.array(expected[1:]) - expected[0], rtol=1e-8)


def test_regressor_and_scorers(data):
    samples, validation = data
    y, y_val = samples.X @ np.arange(6), validation.X @ np.arange(6) + 1
    values = dv.LeaveOneOut(Ridge(), indices=[4]).fit(samples.X, y).score(validation.X, y_val)
    left = Ridge().fit(np.delete(samples.X, 4, axis=0), np.delete(y, 4))
    full = Ridge().fit(samples.X, y)
    errors = [mean_squared_error(y_val, model.predict(validation.X)) for model in (left, full)]
    assert values[4] == pytest.approx(errors[0] - errors[1])
    score = dv.LeaveOneOut(Ridge(), indices=[4], utility="r2").fit(samples.X, y).score(validation.X, y_val)
    assert score[4] == pytest.approx((errors[0] - errors[1]) / y_val.var())


def test_a_class_that_is_left_out_with_its_only_sample(data):
    samples, validation = data
    y = np.where(np.arange(N) == 7, 2, samples.y % 2)
    values = dv.LeaveOneOut(LogisticRegression()).fit(samples.X, y).score(validation.X, np.full(30, 2))
    assert values.argmax() == 7
    assert np.isfinite(values).all()


def test_random_state_is_the_seed(data):
    samples, validation = data
    forest = RandomForestClassifier(3, random_state=0)
    truth = dv.LeaveOneOut(forest, indices=[0], seeds=[1, 2]).fit(*samples)
    truth.score(*validation)
    assert truth.diagnostics_["standard_error"][0] > 0


def test_what_estimators_lack_is_named(data):
    samples, validation = data
    truth = dv.LeaveOneOut(LinearSVC()).fit(*samples)
    with pytest.raises(dv.errors.InvalidDataError, match=r"LinearSVC.*accuracy"):
        truth.score(*validation)
    assert np.isfinite(truth.set_params(utility="accuracy").score(*validation)).all()
    for ask in (truth.attribute, truth.verify):
        with pytest.raises(TypeError, match="needs a Learner"):
            ask(*validation)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"indices": [N]}, IndexError, f"0 ... {N - 1}"),
        ({"indices": [0.5]}, TypeError, "whole number"),
        ({"indices": []}, ValueError, "whole number"),
        ({"mode": "both"}, ValueError, "mode"),
        ({"seeds": []}, ValueError, "seeds"),
    ],
)
def test_nonsense_is_refused_before_training(zoo, options, error, message, monkeypatch):
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(error, match=message):
        dv.LeaveOneOut(make_learner(zoo), **options).fit(*make_samples())
