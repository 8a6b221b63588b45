"""Pipelines of tf.data are read once into arrays, and must be the same when they are read again."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.errors import InvalidDataError
from tests.runs import make_learner, make_samples

tf = pytest.importorskip("tensorflow")

from tests.zoo import tensorflow_models  # noqa: E402

N = 11  # no multiple of a batch
X, Y = np.arange(N * 3.0).reshape(N, 3), np.arange(N) % 3


def pipeline(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


SHAPES = {
    "single": lambda: pipeline(X, Y),
    "batched": lambda: pipeline(X, Y).batch(4),
    "batched and prefetched": lambda: pipeline(X, Y).batch(4).prefetch(2),
    "whole batches": lambda: pipeline(X, Y).batch(N, drop_remainder=True),
    "shuffled once": lambda: pipeline(X, Y).shuffle(1),
    "of dicts": lambda: tf.data.Dataset.from_tensor_slices({"x": X, "label": Y}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_holds_every_sample(shape):
    data = as_data(SHAPES[shape]())
    np.testing.assert_array_equal(data.inputs["x"] if shape == "of dicts" else data.inputs, X)
    np.testing.assert_array_equal(data.targets, Y)


def test_targets_that_are_vectors_are_no_batches():
    np.testing.assert_array_equal(as_data(pipeline(X, X)).targets, X)


def test_values_are_those_of_arrays():
    """Bit for bit: it is the same arrays that are trained on."""
    samples, validation = make_samples("softmax_regression"), make_samples("softmax_regression", 5, seed=2)
    expected = dv.HyDRA(make_learner(tensorflow_models, "softmax_regression")).fit(*samples).score(*validation)
    method = dv.HyDRA(make_learner(tensorflow_models, "softmax_regression")).fit(pipeline(*samples).batch(4))
    np.testing.assert_array_equal(method.score(pipeline(*validation)), expected)


BAD = {
    "no end": (lambda: pipeline(X, Y).repeat(), None, r"has no end: leave out repeat\(\)"),
    "unknown": (lambda: pipeline(X, Y).filter(lambda x, y: y > 0), None, "doesn't know its length"),
    "empty": (lambda: pipeline(X, Y).take(0), None, "training set is empty"),
    "shuffled": (lambda: pipeline(X, Y).shuffle(N), None, r"when it is read again: leave out shuffle\(\)"),
    "targets besides": (lambda: pipeline(X, Y), Y, "yields targets with its inputs: leave y out"),
    "no targets": (lambda: pipeline(X).map(lambda x: x), None, "must be a pair"),
}


@pytest.mark.parametrize("case", BAD)
def test_says_what_is_wrong(case):
    make, y, match = BAD[case]
    with pytest.raises(InvalidDataError, match=match):
        as_data(make(), y)


def test_has_a_limit(monkeypatch):
    monkeypatch.setattr("dataval.data.tensorflow_sets._LARGEST_BYTES", 100)
    with pytest.raises(InvalidDataError, match=r"holds more than .* GiB"):
        as_data(pipeline(X, Y))
