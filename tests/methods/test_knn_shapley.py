"""KNN-Shapley by enumeration of all subsets, by Jia's recursion, and with ties, metrics and features."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.methods.nearest import Distances
from tests.runs import make_learner, make_samples, trained

N, N_VAL = 9, 3
CLASSIFIED = make_samples(n=N), make_samples(n=N_VAL, seed=2)
REAL = tuple(
    (each.X, 5 + each.X @ np.linspace(-1, 1, each.X.shape[1]) + np.sin(np.arange(len(each.X))))
    for each in CLASSIFIED
)
EXACT = {"rtol": 1e-12, "atol": 1e-12}
"""Sums of at most 2**9 terms near 1: rounding is some hundred units of the last place."""


def enumerated(utility, n):
    """The Shapley values of a game by their definition."""
    worth = {s: utility(list(s)) for size in range(n + 1) for s in combinations(range(n), size)}
    values = np.zeros(n)
    for s, without in worth.items():
        for j in {*range(n)} - {*s}:
            with_it = worth[tuple(sorted((*s, j)))]
            values[j] += (with_it - without) / n / comb(n - 1, len(s))
    return values


def distances(X, x, metric):
    if metric == "cosine":
        return 1 - X @ x / np.linalg.norm(X, axis=1) / np.linalg.norm(x)
    return np.linalg.norm(X - x, axis=1)


def nearest(subset, d, k):
    return sorted(subset, key=lambda j: (round(d[j], 11), j))[:k]


def votes(d, y, target, k, weights=None, soft=None):
    def utility(subset):
        if soft is not None and not subset:
            return soft
        chosen = nearest(subset, d, k)
        total = sum((1 if weights is None else weights[j]) * (y[j] == target) for j in chosen)
        return total / (len(chosen) if soft is not None else k)

    return utility


def squared_error(d, y, target, k, weights=None):
    mean = y.mean()

    def utility(subset):
        moved = ((1 if weights is None else weights[j]) * (y[j] - mean) for j in nearest(subset, d, k))
        return -((target - mean - sum(moved) / k) ** 2)

    return utility


def gaussian(d, k):
    return np.exp(-(d**2) / 2 / sorted(d)[min(k, len(d)) - 1] ** 2)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 3, N - 1, N, 20])
@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({}, lambda d, y, t, k: votes(d, y, t, k)),
        ({"soft": True}, lambda d, y, t, k: votes(d, y, t, k, soft=1 / len({*y}))),
        ({"weights": "gaussian"}, lambda d, y, t, k: votes(d, y, t, k, gaussian(d, k))),
        ({"weights": lambda d: 1 / (1 + d)}, lambda d, y, t, k: votes(d, y, t, k, 1 / (1 + d))),
    ],
    ids=["votes", "soft", "gaussian", "inverse"],
)
def test_values_of_labels_equal_enumeration(options, reference, k, metric):
    (X, y), (X_val, y_val) = CLASSIFIED
    method = dv.KNNShapley(k=k, metric=metric, **options).fit(X, y)
    expected = [
        enumerated(reference(distances(X, x, metric), y, target, k), N)
        for x, target in zip(X_val, y_val, strict=True)
    ]
    np.testing.assert_allclose(method.attribute(X_val, y_val), expected, **EXACT)
    np.testing.assert_allclose(method.score(X_val, y_val), np.mean(expected, axis=0), **EXACT)


@pytest.mark.parametrize("k", [1, 3, N - 1, 20])
@pytest.mark.parametrize("weights", [None, "gaussian"])
def test_values_of_real_targets_equal_enumeration(k, weights):
    (X, y), (X_val, y_val) = REAL
    method = dv.KNNShapley(k=k, weights=weights).fit(X, y)
    expected = []
    for x, target in zip(X_val, y_val, strict=True):
        d = distances(X, x, "euclidean")
        expected.append(
            enumerated(squared_error(d, y, target, k, None if weights is None else gaussian(d, k)), N)
        )
    np.testing.assert_allclose(method.attribute(X_val, y_val), expected, **EXACT)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_samples(n):
    X, y = np.arange(n)[:, None] * 1.0, np.arange(n) % 2
    targets = y + 0.5
    for k in (1, 2, 5):
        labels = dv.KNNShapley(k=k, soft=True).fit(X, y).attribute([[0.2]], [0])[0]
        d = np.abs(X[:, 0] - 0.2)
        np.testing.assert_allclose(labels, enumerated(votes(d, y, 0, k, soft=1 / len({*y})), n), **EXACT)
        real = dv.KNNShapley(k=k).fit(X, targets).attribute([[0.2]], [2.0])[0]
        np.testing.assert_allclose(real, enumerated(squared_error(d, targets, 2.0, k), n), **EXACT)


def test_the_recursion_as_it_was_published():
    """Jia et al. (2019), theorem 1, one sample after the other, on more samples than can be enumerated."""
    (X, y), (X_val, y_val) = make_samples(n=60), make_samples(n=4, seed=2)
    k, found = 5, dv.KNNShapley(k=5).fit(X, y).attribute(X_val, y_val)
    for x, target, row in zip(X_val, y_val, found, strict=True):
        order = np.argsort(distances(X, x, "euclidean"), kind="stable")
        right = (y[order] == target).astype(float)
        value = right[-1] / len(X)
        assert row[order[-1]] == pytest.approx(value, abs=1e-14)
        for i in range(len(X) - 1, 0, -1):  # the i-th nearest
            value += (right[i - 1] - right[i]) / k * min(k, i) / i
            assert row[order[i - 1]] == pytest.approx(value, abs=1e-14)  # rounding of 60 sums


def test_rows_sum_to_the_utility_of_all():
    (X, y), validation = make_samples(n=40), make_samples(n=7, seed=2)
    method = dv.KNNShapley(k=4).fit(X, y)
    rows = method.attribute(*validation).sum(axis=1)
    assert method.diagnostics_["utility"] == pytest.approx(rows.mean(), rel=1e-12)
    method = dv.KNNShapley(k=4, soft=True).fit(X, y)
    rows = method.attribute(*validation).sum(axis=1) + 1 / len({*y})
    assert method.diagnostics_["utility"] == pytest.approx(rows.mean(), rel=1e-12)


def test_of_equally_far_samples_the_first_is_nearer():
    X = np.array([[0.1, 0.7], [0.3, 0.3], [0.1, 0.7], [0.7, 0.1], [0.3, 0.3]])
    y = np.array([0, 1, 1, 1, 0])
    d = distances(X, np.array([0.2, 0.2]), "euclidean")
    found = dv.KNNShapley(k=2).fit(X, y).attribute([[0.2, 0.2]], [1])[0]
    np.testing.assert_allclose(found, enumerated(votes(d, y, 1, 2), 5), **EXACT)
    same = dv.KNNShapley(k=1).fit(np.ones((3, 2)), [0, 1, 1]).attribute([[1.0, 1.0]], [1])[0]
    np.testing.assert_allclose(same, enumerated(votes(np.zeros(3), np.array([0, 1, 1]), 1, 1), 3), **EXACT)


def test_values_do_not_depend_on_the_size_of_a_block(monkeypatch):
    (X, y), validation = make_samples(n=30), make_samples(n=11, seed=2)
    method = dv.KNNShapley(k=3, metric="cosine").fit(X, y)
    rows, values = method.attribute(*validation), method.score(*validation)
    monkeypatch.setattr("dataval.methods.nearest._ENTRIES", 90)
    assert Distances(X, "cosine").block_size == 3
    np.testing.assert_array_equal(method.attribute(*validation), rows)
    np.testing.assert_allclose(method.score(*validation), values, rtol=1e-13)  # the order of sums


@pytest.mark.parametrize("threshold", [None, 0.0, 1.5, 3.0, 100.0])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_values_within_a_threshold_equal_enumeration(threshold, metric):
    (X, y), (X_val, y_val) = CLASSIFIED
    method = dv.TKNNShapley(threshold=threshold, metric=metric).fit(X, y)
    found, near = method.attribute(X_val, y_val), method.diagnostics_["threshold"]
    chance = 1 / len({*y})
    alone = 0
    for x, target, row in zip(X_val, y_val, found, strict=True):
        d = distances(X, x, metric)
        alone += (d > near).all()

        def utility(subset, d=d, target=target):
            voters = [j for j in subset if d[j] <= near]
            return np.mean([y[j] == target for j in voters]) if voters else chance

        np.testing.assert_allclose(row, enumerated(utility, N), **EXACT)
    assert method.diagnostics_["unanswered"] == alone
    np.testing.assert_allclose(method.score(X_val, y_val), found.mean(axis=0), **EXACT)


def test_the_usual_threshold_is_where_samples_have_their_tenth_neighbour():
    X, y = make_samples(n=30)
    method = dv.TKNNShapley().fit(X, y)
    method.score(X[:2], y[:2])
    tenth = np.median([sorted(distances(X, x, "euclidean"))[10] for x in X])
    assert method.diagnostics_["threshold"] == pytest.approx(tenth, rel=1e-10)


@pytest.mark.parametrize("model", ["mlp", pytest.param("cnn_max_pool", marks=pytest.mark.slow_on_tensorflow)])
def test_hidden_features_are_what_the_last_layer_is_given(zoo, model):
    """Its outputs, which the backend predicts, are linear in them: nothing of the fit is left over."""
    learner, samples, run = trained(zoo, model, epochs=1)
    method = dv.KNNShapley(learner, k=3, features="hidden").fit(*samples, run=run)
    assert method.run_ is run
    replay = learner.replay(*samples, run)
    batch = replay.program.backend.batches(replay.program.data).take(np.arange(len(samples.y)))
    outputs = replay.program.backend.predict(replay.final.parameters, replay.final.buffers, batch)
    outputs = replay.program.backend.arrays.to_numpy(outputs)
    with_ones = np.column_stack([method._vectors, np.ones(len(samples.y))])
    rest = outputs - with_ones @ np.linalg.lstsq(with_ones, outputs, rcond=None)[0]
    assert with_ones.shape[1] < len(samples.y)
    assert np.abs(rest).max() < 1e-6 * np.abs(outputs).max()  # rounding, of a convolution in single precision
    by_hand = dv.KNNShapley(k=3).fit(method._vectors, samples.y)
    validation = make_samples(model, 4, seed=2)
    features = method._features_of(dv.KNNShapley().fit(*validation)._data)
    np.testing.assert_allclose(method.score(*validation), by_hand.score(features, validation.y), rtol=1e-12)


def test_hidden_features_train_a_learner_that_has_no_run(zoo):
    learner = make_learner(zoo, epochs=1)
    method = dv.KNNShapley(learner, features="hidden").fit(*make_samples())
    assert isinstance(method.run_, dv.TrainingRun)
    assert method.verify(*make_samples(n=5, seed=2), n_subsets=3, fraction=0.2).n_subsets == 3


def test_a_model_whose_last_layer_is_not_dense():
    nn = pytest.importorskip("torch").nn
    X, y = CLASSIFIED[0]
    model = nn.Sequential(nn.Linear(X.shape[1], 3), nn.LayerNorm(3)).double()
    learner = dv.Learner(model, training=dv.Training(epochs=1, batch_size=3), progress=False)
    with pytest.raises(InvalidModelError, match=r"dense last layer.*pass features, a function of the inputs"):
        dv.KNNShapley(learner, features="hidden").fit(X, y)


def test_a_table_of_one_target_column_and_a_function():
    X, y = make_samples()
    flat = dv.KNNShapley(features=lambda inputs: inputs[:, :2]).fit(X, y[:, None])
    expected = dv.KNNShapley().fit(X[:, :2], y).score(X[:5, :2], y[:5])
    np.testing.assert_array_equal(flat.score(X[:5], y[:5, None]), expected)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"k": 0}, ValueError, "k must be at least 1"),
        ({"metric": "manhattan"}, ValueError, "metric must be 'euclidean' or 'cosine'"),
        ({"features": "pixels"}, TypeError, "features must be 'inputs', 'hidden' or a function"),
        ({"features": "hidden"}, TypeError, r"KNNShapley\(learner, features='hidden'\)"),
        ({"weights": "inverse"}, TypeError, "weights must be None, 'gaussian' or a function"),
        ({"weights": "gaussian", "soft": True}, ValueError, "leave weights out"),
        ({"weights": lambda d: -d}, ValueError, "negative or not finite"),
        ({"weights": lambda d: d[0]}, ValueError, "one number for each of the distances"),
    ],
)
def test_bad_options_are_named(options, error, match):
    samples = make_samples()
    with pytest.raises(error, match=match):
        dv.KNNShapley(**options).fit(*samples).score(*samples)


def test_bad_targets_are_named():
    X, y = make_samples()
    with pytest.raises(InvalidDataError, match="one label or value a sample"):
        dv.KNNShapley().fit(X, np.column_stack([y, y]))
    with pytest.raises(InvalidDataError, match=r"validation label 99 of sample 1 never occurs in training"):
        dv.KNNShapley().fit(X, y).score(X[:2], [0, 99])
    with pytest.raises(InvalidDataError, match="soft=True is for labels"):
        dv.KNNShapley(soft=True).fit(X, y + 0.5)
    with pytest.raises(InvalidDataError, match="choose KNNShapley for a regression"):
        dv.TKNNShapley().fit(X, y + 0.5)
    with pytest.raises(InvalidDataError, match=r"the validation X have 2 features a sample"):
        dv.KNNShapley().fit(X, y).score(X[:, :2], y)
