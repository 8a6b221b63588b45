"""Games of learners and of scikit-learn's estimators, against training on one coalition after another."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

import dataval as dv
from dataval.data import as_data
from dataval.methods.shapley.game import all_coalitions
from dataval.objectives.validation import ValidationObjective
from dataval.retraining.again import RetrainingOptions
from dataval.retraining.estimators import EstimatorRetraining
from tests.games import game_of
from tests.runs import make_learner, make_samples

FEW = 4
OPTIONS = {"epochs": 2, "batch_size": 3, "optimizer": dv.SGD(learning_rate=0.3, momentum=0.5)}
METHODS = {
    "shapley": (dv.DataShapley, {"n_permutations": 60}),
    "stratified": (dv.DataShapley, {"n_permutations": 120, "method": "stratified"}),
    "beta": (dv.BetaShapley, {"alpha": 2, "n_permutations": 60}),
    "banzhaf": (dv.DataBanzhaf, {"n_coalitions": 150}),
    "kernel": (dv.DataBanzhaf, {"n_coalitions": 150, "method": "kernel"}),
    "ame": (dv.AME, {"n_coalitions": 150}),
}


def softmax(zoo, **options):
    return make_learner(zoo, "softmax_regression", **OPTIONS | options)


def samples_of(n=FEW):
    return make_samples("softmax_regression", n), make_samples("softmax_regression", 12, seed=2)


def one_after_another(learner, samples, validation, weights=None):
    """Return what every coalition gains, each trained on by the program step by step."""
    replay = learner.prepare(*samples)
    judge = ValidationObjective(replay.program.backend, as_data(*validation), None)
    gains = []
    for kept in all_coalitions(len(samples.y)):
        program = replay.program.with_weights(kept * (1.0 if weights is None else weights))
        state = replay.initial
        for step in range(program.plan.n_steps):
            state, _ = program.step(state, step)
        gains.append(-float(judge.value(state)))
    return np.array(gains)


def test_a_learner_is_trained_on_all_coalitions(zoo, tmp_path):
    learner, (samples, validation) = softmax(zoo), samples_of()
    gains = one_after_another(learner, samples, validation)
    untrained = learner.prepare(*samples)
    judge = ValidationObjective(untrained.program.backend, as_data(*validation), None)
    assert -gains[0] == pytest.approx(float(judge.value(untrained.initial)), rel=1e-12)
    run = learner.train(*samples)
    for kind in (dv.DataShapley, dv.DataBanzhaf, dv.BetaShapley, dv.AME, dv.LeastCore):
        method = kind(learner, method="exact", folder=tmp_path).fit(*samples, run=run)
        expected = kind(None, method="exact")._estimate(game_of(gains)).values[:, -1]
        # Rounding of float64 in 2 epochs; the least core's program is solved to 1e-9.
        np.testing.assert_allclose(
            method.score(*validation), expected, atol=1e-7 if kind is dv.LeastCore else 1e-11
        )
        assert method.diagnostics_["n_trainings"] == 2**FEW
    (kept,) = tmp_path.iterdir()
    assert (
        sum(len(path.read_text().splitlines()) for path in kept.iterdir()) == 2**FEW
    )  # each once, for all five
    assert method.diagnostics_["utility"] == pytest.approx(-gains[-1])
    assert method.diagnostics_["utility_of_none"] == pytest.approx(-gains[0])


def test_single_validation_samples_have_values(zoo):
    learner, (samples, validation) = softmax(zoo), samples_of()
    method = dv.DataShapley(learner, n_permutations=6).fit(*samples)
    matrix = method.attribute(*validation)
    assert matrix.shape == (12, FEW)
    np.testing.assert_allclose(matrix.mean(axis=0), method.score(*validation), atol=1e-12)
    groups = method.attribute(*validation, groups=np.arange(12) % 2)
    np.testing.assert_allclose(groups[1], matrix[1::2].mean(axis=0), atol=1e-12)
    rises = one_after_another(learner, samples, [v[:1] for v in validation])
    assert matrix[0].sum() == pytest.approx(rises[-1] - rises[0], rel=1e-9)
    for refused in (dv.LeastCore(learner), dv.AME(learner, method="lasso")):
        with pytest.raises(TypeError, match="no values for single validation samples: use score"):
            refused.fit(*samples, run=method.run_).attribute(*validation)
    with pytest.raises(TypeError, match="use score"):
        dv.DataShapley(learner, utility="accuracy").fit(*samples, run=method.run_).attribute(*validation)


def test_weights_seeds_and_groups(zoo):
    learner, (samples, validation) = softmax(zoo), samples_of()
    weights = np.array([1.0, 0.0, 2.0, 0.5])
    run = learner.train(*samples, weights)
    method = dv.DataShapley(learner, method="exact").fit(*samples, run=run)
    gains = one_after_another(learner, samples, validation, weights)
    expected = dv.DataShapley(None, method="exact")._estimate(game_of(gains)).values[:, -1]
    found = method.score(*validation)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    assert found[1] == pytest.approx(0, abs=1e-14)  # what has no weight does nothing
    np.testing.assert_allclose(method.set_params(group_size=3).score(*validation), found, atol=1e-12)
    each = [method.set_params(seeds=[seed]).score(*validation) for seed in (4, 5)]
    both = method.set_params(seeds=[4, 5]).score(*validation)
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-12)


def test_learners_values_are_within_their_stated_errors(zoo, tmp_path):
    learner, (samples, validation) = softmax(zoo, batch_size=8), samples_of(8)
    run = learner.train(*samples)
    for kind, options in METHODS.values():
        common = {"folder": tmp_path, **{k: v for k, v in options.items() if k == "alpha"}}
        truth = kind(learner, method="exact", **common).fit(*samples, run=run).score(*validation)
        method = kind(learner, **options | common).fit(*samples, run=run)
        off = (method.score(*validation) - truth) / method.diagnostics_["standard_error"]
        # 8 standard scores, of errors that 15 blocks know to a fifth
        assert np.abs(off).max() < 4.5


def test_samples_that_are_the_same_have_equal_values(zoo):
    """In one batch: in batches of several, when they come makes a difference."""
    (X, y), validation = samples_of(FEW)
    X[3], y[3] = X[0], y[0]
    values = dv.DataShapley(softmax(zoo, batch_size=FEW), method="exact").fit(X, y).score(*validation)
    assert values[0] == pytest.approx(values[3], abs=1e-12)


# ---- estimators of scikit-learn ------------------------------------------------------------------


def fitted_on_coalitions(estimator, samples, validation, judge):
    X, y = samples
    gains = []
    for kept in all_coalitions(len(y)):
        model = DummyClassifier(strategy="prior").fit(X, y)
        if len({*y[kept]}) > 1:
            model = estimator.fit(X[kept], y[kept])
        gains.append(judge(model, *validation))
    return np.array(gains)


def two_classes(n):
    samples, validation = make_samples("mlp", n), make_samples("mlp", 30, seed=2)
    return (samples.X, np.arange(n) % 2), (validation.X, np.arange(30) % 2)


def test_an_estimator_is_fitted_on_all_coalitions():
    samples, validation = two_classes(6)
    gains = fitted_on_coalitions(
        LogisticRegression(),
        samples,
        validation,
        lambda m, X, y: -log_loss(y, m.predict_proba(X), labels=[0, 1]),
    )
    method = dv.DataShapley(LogisticRegression(), method="exact").fit(*samples)
    expected = dv.DataShapley(None, method="exact")._estimate(game_of(gains)).values[:, -1]
    np.testing.assert_allclose(method.score(*validation), expected, atol=1e-9)
    assert method.diagnostics_["n_without_model"] == 15  # the empty one, and 7 of either class
    assert method.diagnostics_["n_trainings"] == 64
    assert method.score(*validation).sum() == pytest.approx(gains[-1] - gains[0])


@pytest.mark.parametrize(
    ("estimator", "utility"),
    [(LogisticRegression(), "accuracy"), (KNeighborsClassifier(1), "accuracy")],
    ids=lambda e: str(e),
)
def test_estimators_values_are_within_their_stated_errors(estimator, utility):
    samples, validation = two_classes(6)
    retraining = EstimatorRetraining(estimator, *samples)
    coalitions = retraining.coalitions(retraining.validation(*validation), RetrainingOptions(utility=utility))
    gains = coalitions.judge(all_coalitions(6))[0, :, 0]
    for kind, options in METHODS.values():
        common = {"alpha": options["alpha"]} if "alpha" in options else {}
        truth = kind(None, method="exact", **common)._estimate(game_of(gains)).values[:, -1]
        method = kind(estimator, utility=utility, **options).fit(*samples)
        off = np.abs(method.score(*validation) - truth)
        assert (off < 4.5 * method.diagnostics_["standard_error"] + 1e-9).all()


def test_regressors_and_other_scores():
    samples, validation = two_classes(5)
    y = samples[0] @ np.arange(6.0)
    y_val = validation[0] @ np.arange(6.0)
    values = dv.DataShapley(Ridge(), method="exact").fit(samples[0], y).score(validation[0], y_val)
    fitted = Ridge().fit(samples[0], y).predict(validation[0])
    none = mean_squared_error(y_val, np.full(30, y.mean()))
    assert values.sum() == pytest.approx(none - mean_squared_error(y_val, fitted))
    tree = dv.DataShapley(DecisionTreeClassifier(), method="exact", utility="balanced_accuracy")
    assert np.isfinite(tree.fit(*samples).score(*validation)).all()


def test_coalitions_that_give_no_model_are_told_once():
    samples, validation = two_classes(6)
    method = dv.DataShapley(KNeighborsClassifier(5), method="exact").fit(*samples)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = method.score(*validation)
    assert [w.category for w in caught] == [dv.errors.RetrainingWarning]
    assert "n_neighbors" in str(caught[0].message)
    assert method.diagnostics_["n_without_model"] == 57  # of 4 samples or fewer
    assert np.isfinite(values).all()


def test_a_utility_that_fails_without_a_model_is_named():
    samples, validation = two_classes(6)
    method = dv.DataShapley(LogisticRegression(), utility=lambda model, X, y: float(model.coef_.sum()))
    with pytest.raises(dv.errors.InvalidDataError, match="empty coalition"):
        method.fit(*samples).score(*validation)


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (dv.DataShapley, {"method": "msr"}, ValueError, "'random', 'antithetic', 'stratified' or 'exact'"),
        (dv.DataShapley, {"method": "exact"}, ValueError, "N up to 16"),
        (dv.DataShapley, {"n_permutations": 0}, ValueError, "n_permutations"),
        (dv.DataShapley, {"tolerance": -1}, ValueError, "tolerance"),
        (dv.DataShapley, {"truncation": 2}, ValueError, "truncation"),
        (dv.BetaShapley, {"alpha": 0}, ValueError, "alpha must be greater than 0"),
        (dv.DataBanzhaf, {"n_coalitions": 79, "method": "kernel"}, ValueError, "at least 80"),
        (dv.AME, {"n_coalitions": 41}, ValueError, "at least 48"),
        (dv.AME, {"probabilities": [0.5, 1.0]}, ValueError, r"probabilities\[1\]"),
        (dv.AME, {"probabilities": 0.5}, ValueError, "probabilities must be a sequence"),
        (dv.LeastCore, {"n_coalitions": 2}, ValueError, "n_coalitions"),
        (dv.LeastCore, {"seeds": 3}, TypeError, "seeds"),
        (dv.LeastCore, {"seed": -3}, ValueError, "seed"),
    ],
)
def test_nonsense_is_refused_before_training(kind, options, error, message, monkeypatch):
    monkeypatch.setattr(LogisticRegression, "fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(error, match=message):
        kind(LogisticRegression(), **options).fit(*two_classes(20)[0])
