"""The detector on small data of every kind, with a model and without one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, RunMismatchError

N = 240


@pytest.fixture(scope="module")
def table():
    """Three classes that hardly overlap, a tenth of whose labels was flipped."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N)
    X = rng.normal(size=(N, 4)) + 3.0 * np.eye(4)[y]
    return X, y, *dv.noise.flip_labels(y, 0.1, seed=0)


@pytest.fixture(scope="module")
def found(table):
    X, _, given, _ = table
    return dv.LabelErrors().fit(X, given)


def test_errors_are_found_counted_and_put_right(table, found):
    _X, y, _given, is_noisy = table
    report = dv.evaluation.noise_detection(
        found.values_,
        is_noisy,
        n_bootstrap=0,
        is_wrong=found.is_wrong_,
        probability_wrong=found.probability_wrong_,
        suggested_label=found.suggested_label_,
        true_label=y,
    )
    decisions = report.decisions
    assert report.average_precision.value > 0.9  # measured .97
    assert min(decisions.precision, decisions.recall, decisions.suggestion_accuracy) > 0.8
    assert abs(decisions.expected_count_error) < 0.25
    assert found.task_ == "classification"
    assert found.transition_.shape == (3, 3)
    assert found.n_wrong_ == pytest.approx(found.probability_wrong_.sum())
    assert found.expected_precision_ == pytest.approx(found.probability_wrong_[found.is_wrong_].mean())


def test_the_same_seed_gives_the_same_answer(table, found):
    X, _, given, _ = table
    np.testing.assert_array_equal(dv.LabelErrors().fit(X, given).values_, found.values_)


def test_the_order_of_suspicion_and_the_labels_names_dont_matter(table, found):
    X, _, given, _ = table
    names = np.array(["ant", "bee", "cat"])
    named = dv.LabelErrors().fit(pd.DataFrame(X), pd.Series(names[given]))
    np.testing.assert_array_equal(named.values_, found.values_)
    np.testing.assert_array_equal(named.suggested_label_, names[found.suggested_label_])


def test_no_error_is_found_where_there_is_none(table):
    X, y, *_ = table
    assert dv.LabelErrors().fit(X, y).is_wrong_.mean() <= 0.02


def test_words_dates_and_gaps_are_read(table):
    X, _, given, _is_noisy = table
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame.loc[::7, "a"] = np.nan
    frame["word"] = np.where(given == 0, "x", "y")
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N), "D")
    before = frame.copy()
    found = dv.LabelErrors().fit(frame, given)
    assert np.isfinite(found.values_).all()
    pd.testing.assert_frame_equal(frame, before)


def test_regression(table):
    X, *_ = table
    rng = np.random.default_rng(1)
    y = X @ [1.0, -2.0, 0.5, 1.0] + 0.2 * rng.standard_t(4, N)
    is_noisy = np.arange(N) < 12
    y[is_noisy] += np.sign(rng.normal(size=12)) * 6.0
    found = dv.LabelErrors().fit(X, y)
    assert found.task_ == "regression"
    assert found.transition_ is None
    assert found.is_wrong_[is_noisy].mean() > 0.8
    assert found.is_wrong_[~is_noisy].mean() < 0.02
    assert np.abs(found.suggested_label_ - y)[~is_noisy].mean() < 0.6


def test_several_labels(table):
    X, y, *_ = table
    labels = np.stack([y == 0, y == 1, y < 3], axis=1).astype(int)
    flipped = np.random.default_rng(2).random((N, 3)) < [0.08, 0.08, 0.0]
    found = dv.LabelErrors().fit(X, np.where(flipped, 1 - labels, labels))
    assert found.task_ == "multilabel"
    assert found.probability_wrong_.shape == found.suggested_label_.shape == (N, 3)
    assert not found.is_wrong_[:, 2].any()  # a label that all have can't be judged
    assert (found.suggested_label_ == labels)[flipped].mean() > 0.8
    assert np.isfinite(found.values_).all()


def test_a_rare_class_is_no_error():
    rng = np.random.default_rng(3)
    y = np.r_[np.zeros(200, int), np.ones(8, int)]
    X = rng.normal(size=(208, 3)) + 5.0 * y[:, None]
    found = dv.LabelErrors().fit(X, y)
    assert not found.is_wrong_.any()


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((9, 2)), np.arange(9) % 2, "at least 10"),
        (np.ones((20, 2)), np.zeros(20, int), "at least two classes"),
        (np.ones((19, 2)), np.arange(20) % 2, "as many"),
        (np.ones((20, 2)), [None, *"ab" * 9, "a"], "sample 0 is missing"),
        (np.array(["word"] * 20), np.arange(20) % 2, "give numbers"),
        (np.ones((20, 2)), [f"id {i}" for i in range(20)], "numbers choose"),
        (np.ones((20, 2)), np.full(20, 0.5), "nothing can be wrong"),
        (np.ones((20, 2)), np.full((20, 2), 3), "columns of 0 and 1"),
    ],
)
def test_what_cant_be_used_is_named(X, y, message):
    with pytest.raises(InvalidDataError, match=message):
        dv.LabelErrors().fit(X, y)


def test_parameters_are_checked(table):
    X, _, given, _ = table
    with pytest.raises(TypeError, match=r"dataval\.Learner"):
        dv.LabelErrors("net").fit(X, given)
    with pytest.raises(ValueError, match="threshold"):
        dv.LabelErrors(threshold=1.5).fit(X, given)
    with pytest.raises(ValueError, match="task"):
        dv.LabelErrors(task="ranking").fit(X, given)


def test_of_a_learner(training_pair):
    images, given, is_noisy, learner, run = training_pair
    found = dv.LabelErrors(learner).fit(images, given, run=run)
    assert found.run_ is run
    report = dv.evaluation.noise_detection(found.values_, is_noisy, n_bootstrap=0)
    assert report.average_precision.value > 0.7  # measured .9
    order = np.argsort(found.values_)
    assert (np.diff(found.probability_wrong_[order]) <= 1e-12).all()
    with pytest.raises(RunMismatchError):
        dv.LabelErrors(learner).fit(images[::-1].copy(), given, run=run)


@pytest.fixture(scope="module")
def training_pair():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N)
    stripes = np.stack([np.sin(np.arange(8) * (1 + c)) for c in range(3)])[y]
    images = (rng.normal(size=(N, 1, 8, 8)) + 1.5 * stripes[:, None, None]).astype(np.float32)

    def build():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 3))

    given, is_noisy = dv.noise.flip_labels(y, 0.1, seed=0)
    learner = dv.Learner(build, training=dv.Training(epochs=4, batch_size=40), progress=False)
    return images, given, is_noisy, learner, learner.train(images, given)


def test_methods_beside_it(training_pair):
    images, given, is_noisy, learner, run = training_pair
    kernel = dv.KernelLeaveOneOut(learner, features="first_layers").fit(images, given, run=run)
    margin = dv.ProbabilityMargin(learner).fit(images, given, run=run)
    for values in (kernel.score(images, given), margin.score(images, given)):
        assert dv.evaluation.noise_detection(values, is_noisy, n_bootstrap=0).auroc.value > 0.8
    label = margin.probabilities_[np.arange(N), given]
    rival = np.where(np.eye(3, dtype=bool)[given], 0, margin.probabilities_).max(axis=1)
    np.testing.assert_allclose(margin.score(images, given), np.log(label) - np.log(rival), rtol=1e-9)
