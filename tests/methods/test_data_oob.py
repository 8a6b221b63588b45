"""Data-OOB against a plain loop over bootstraps, of estimators and of learners."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import dataval as dv
from dataval.errors import InvalidDataError, RetrainingWarning
from tests.runs import N, make_learner, make_samples, trained

SAMPLES, VALIDATION = make_samples(), make_samples(n=5, seed=2)


def bootstraps(n_models, seed=0, n=N):
    """The documented draws: each model has its own generator."""
    for model in range(n_models):
        rng = np.random.default_rng([seed, model])
        yield rng.integers(n, size=n), int(rng.integers(2**31))


def plain(make, outcome, n_models, X=SAMPLES.X, y=SAMPLES.y):
    found = [[] for _ in y]
    for drawn, seed in bootstraps(n_models):
        model = make(seed).fit(X[drawn], y[drawn])
        for j in {*range(len(y))} - {*drawn.tolist()}:
            found[j].append(outcome(model, X[j : j + 1], y[j]))
    errors = [np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan for each in found]
    return (
        np.array([np.mean(each) for each in found]),
        np.array(errors),
        np.array([len(each) for each in found]),
    )


def is_right(model, x, y):
    return float(model.predict(x)[0] == y)


def test_values_of_trees_equal_a_plain_loop():
    method = dv.DataOOB(n_models=15).fit(*SAMPLES)
    values, errors, counts = plain(lambda seed: DecisionTreeClassifier(random_state=seed), is_right, 15)
    np.testing.assert_allclose(method.score(*VALIDATION), values, rtol=1e-12)
    np.testing.assert_allclose(method.diagnostics_["standard_error"], errors, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(method.diagnostics_["n_models"], counts)
    assert method.run_ is None


def test_log_loss_and_squared_error():
    def log_likelihood(model, x, y):
        return float(np.log(max(model.predict_proba(x)[0][model.classes_.tolist().index(y)], 2.0**-52)))

    found = dv.DataOOB(GaussianNB(), n_models=12, utility="loss").fit(*SAMPLES).score(*VALIDATION)
    np.testing.assert_allclose(found, plain(lambda _: GaussianNB(), log_likelihood, 12)[0], rtol=1e-9)
    y = SAMPLES.X @ np.arange(SAMPLES.X.shape[1]) + np.sin(np.arange(N))
    found = dv.DataOOB(LinearRegression(), n_models=12).fit(SAMPLES.X, y).score(VALIDATION.X, np.zeros(5))
    expected = plain(lambda _: LinearRegression(), lambda m, x, t: -((m.predict(x)[0] - t) ** 2), 12, y=y)
    np.testing.assert_allclose(found, expected[0], rtol=1e-6)  # of two solutions by least squares


@pytest.mark.slow
def test_values_do_not_depend_on_processes_or_on_how_many_models_come_after():
    two = dv.DataOOB(n_models=12, n_jobs=2).fit(*SAMPLES).score(*VALIDATION)
    np.testing.assert_array_equal(dv.DataOOB(n_models=12).fit(*SAMPLES).score(*VALIDATION), two)
    assert (dv.DataOOB(n_models=12, seed=1).fit(*SAMPLES).score(*VALIDATION) != two).any()


def test_texts_as_labels_and_wrong_ones():
    """Two clusters apart: others predict every label but the wrong ones."""
    rng = np.random.default_rng(0)
    is_second = np.arange(60) % 2
    X, y = 8.0 * is_second[:, None] + rng.normal(size=(60, 2)), np.where(is_second, "b", "a")
    y[[3, 20]] = ["a", "b"]
    values = dv.DataOOB(n_models=60).fit(X, y).score(X[:2], y[:2])
    assert {*np.argsort(values)[:2]} == {3, 20}
    assert np.median(values) > 0.9


def test_values_of_a_learner_equal_training_under_the_counts(zoo):
    """By the outputs of single runs under the counts as weights."""
    learner, samples, run = trained(zoo, epochs=2)
    found = {}
    for utility in ("accuracy", "loss"):
        method = dv.DataOOB(learner, n_models=9, utility=utility).fit(*samples, run=run)
        found[utility] = method.score(*VALIDATION)
    assert method.run_ is run
    replay = learner.prepare(*samples, run=run)
    program, arrays = replay.program, replay.program.backend.arrays
    batch = program.backend.batches(program.data).take(np.arange(N))
    outcomes = {"accuracy": [[] for _ in range(N)], "loss": [[] for _ in range(N)]}
    for drawn, _ in bootstraps(9):
        counts = np.bincount(drawn, minlength=N)
        weighted, state = program.with_weights(counts.astype(float)), replay.initial
        for step in range(program.plan.n_steps):
            state, _ = weighted.step(state, step)
        logits = arrays.to_numpy(program.backend.predict(state.parameters, state.buffers, batch))
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        for j in np.flatnonzero(counts == 0):
            outcomes["loss"][j].append(logs[j, samples.y[j]])
            outcomes["accuracy"][j].append(float(logits[j].argmax() == samples.y[j]))
    for utility, each in outcomes.items():
        expected = [np.mean(one) if one else np.nan for one in each]
        np.testing.assert_allclose(found[utility], expected, rtol=1e-5)  # single precision on TensorFlow


def test_a_learner_without_a_run_trains_no_other_model_and_can_be_verified(zoo, tmp_path):
    learner = make_learner(zoo, epochs=1)
    method = dv.DataOOB(learner, n_models=8, folder=tmp_path).fit(*SAMPLES)
    again = dv.DataOOB(learner, n_models=8, folder=tmp_path).fit(*SAMPLES)
    np.testing.assert_array_equal(again.score(*VALIDATION), method.score(*VALIDATION))
    assert list(tmp_path.iterdir())
    assert method.verify(*VALIDATION, n_subsets=3, fraction=0.2).n_subsets == 3


class Moody(ClassifierMixin, BaseEstimator):
    """Fails on some of the bootstraps."""

    def __init__(self, often=1):
        self.often = often

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        if int(abs(X.sum()) * 1000) % self.often == 0:
            raise ValueError("not today")
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_models_that_fail_are_left_out_and_reported():
    with pytest.warns(
        RetrainingWarning, match="models could not be fitted, and are left out: ValueError: not today"
    ):
        method = dv.DataOOB(Moody(often=2), n_models=30).fit(*SAMPLES)
    assert np.isfinite(method.score(*VALIDATION)).all()
    with pytest.raises(InvalidDataError, match="none of the 3 models could be fitted: ValueError: not today"):
        dv.DataOOB(Moody(), n_models=3).fit(*SAMPLES)


def test_a_sample_that_every_bootstrap_holds_has_no_value():
    with pytest.warns(RetrainingWarning, match="in every bootstrap, and have no value"):
        values = dv.DataOOB(n_models=1).fit(*SAMPLES).score(*VALIDATION)
    assert 0 < np.isnan(values).sum() < N


def test_a_bootstrap_of_one_class():
    X, y = np.arange(8.0)[:, None], np.array([0, 0, 0, 0, 0, 0, 0, 1])
    values = dv.DataOOB(LogisticRegression(), n_models=40).fit(X, y).score(X, y)
    assert values[-1] == 0  # nobody who has not seen the only other label predicts it
    assert values[:3].min() == 1


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: dv.DataOOB("trees"), TypeError, r"needs a dataval.Learner, or a classifier or regressor"),
        (lambda: dv.DataOOB(n_models=0), ValueError, "n_models must be at least 1"),
        (lambda: dv.DataOOB(utility="f1"), ValueError, "utility must be 'accuracy' or 'loss'"),
        (lambda: dv.DataOOB(LinearRegression(), utility="accuracy"), ValueError, "needs a classifier"),
        (lambda: dv.DataOOB(LinearSVC(), utility="loss"), ValueError, "no probabilities, so it has no loss"),
        (lambda: dv.DataOOB(folder="here"), TypeError, "folder keeps the runs of learners"),
        (lambda: dv.DataOOB(group_size=3), TypeError, "group_size is for learners"),
    ],
)
def test_bad_options_are_named(make, error, match):
    with pytest.raises(error, match=match):
        make().fit(*SAMPLES)


def test_bad_data_are_named(zoo):
    with pytest.raises(TypeError, match="leave run out"):
        dv.DataOOB().fit(*SAMPLES, run=3)
    with pytest.raises(InvalidDataError, match="one target y a sample"):
        dv.DataOOB(n_models=2).fit(SAMPLES.X, np.column_stack([SAMPLES.y] * 2))
    with pytest.raises(TypeError, match="DataOOB gives no values for single validation samples"):
        dv.DataOOB(n_models=12).fit(*SAMPLES).attribute(*VALIDATION)
    with pytest.raises(InvalidDataError):
        dv.DataOOB(n_models=12).fit(*SAMPLES).score(VALIDATION.X[:, :2], VALIDATION.y)


def test_images_of_a_comparison_that_has_no_learner():
    """The default trees take all pixels; the comparison trains nothing for them."""
    X, y = SAMPLES.X.reshape(N, 1, -1), SAMPLES.y
    method = dv.DataOOB(n_models=15)
    table = dv.compare({"oob": method}, X, y, X[:5], y[:5], progress=False)
    np.testing.assert_array_equal(table.values["oob"][0], dv.DataOOB(n_models=15).fit(SAMPLES.X, y)._values)
