"""Named losses against NumPy, and what is said of losses that can't be used."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax

from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy
from dataval.data import Data
from dataval.errors import InvalidDataError, InvalidModelError
from dataval_tensorflow import FunctionModel
from dataval_tensorflow.losses import check_tensor, per_sample_loss, target_dtype
from tests.backends.support import assert_near, make_backend
from tests.zoo.data import features

X, Y = features(5)
RNG = np.random.default_rng(0)
WEIGHTS = (0.5, 2.0, 1.0)


def losses(loss, outputs, targets):
    dtype = target_dtype(loss, np.asarray(targets), tf.float64)
    return per_sample_loss(loss)(tf.constant(outputs), tf.cast(tf.constant(targets), dtype)).numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 2, 3)], ids=str)
def test_cross_entropy(smoothing, weights, shape):
    """Classes are along the last axis; weights multiply each class's share of the smoothed target."""
    outputs, y = RNG.normal(size=(5, *shape)), RNG.integers(0, 3, (5, *shape[:-1]))
    shares = np.eye(3)[y] * (1 - smoothing) + smoothing / 3
    each = -(shares * np.asarray(weights or (1, 1, 1)) * log_softmax(outputs, axis=-1)).sum(-1)
    found = losses(CrossEntropy(label_smoothing=smoothing, class_weights=weights), outputs, y)
    assert_near(found, each.reshape(5, -1).mean(1), 1e-14)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float32])
@pytest.mark.parametrize("shape", [(1,), (4,)], ids=str)
def test_binary_cross_entropy(dtype, shape):
    outputs = RNG.normal(size=(5, *shape))
    y = RNG.integers(0, 2, (5, *(shape if shape != (1,) else ()))).astype(dtype)
    target = y.astype(float).reshape(outputs.shape)
    smooth, p = target * 0.9 + 0.05, expit(outputs)
    each = -(smooth * np.log(p) + (1 - smooth) * np.log(1 - p)) * np.where(target == 1, 2.0, 0.5)
    found = losses(BinaryCrossEntropy(label_smoothing=0.1, class_weights=(0.5, 2.0)), outputs, y)
    assert_near(found, each.mean(1), 1e-14)


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3)], ids=str)
def test_mse(shape):
    outputs, y = RNG.normal(size=(5, *shape)), RNG.normal(size=(5, *(shape if shape != (1,) else ())))
    expected = ((outputs - y.reshape(outputs.shape)) ** 2).reshape(5, -1).mean(1)
    assert_near(losses("mse", outputs, y), expected, 1e-14)


def test_targets_of_a_loss_of_the_callers_own_keep_their_kind():
    def own(outputs, targets):
        return outputs

    assert target_dtype(own, np.array([1, 2]), tf.float32) == tf.int64
    assert target_dtype(own, np.array([1.0, 2.0]), tf.float32) == tf.float32
    assert target_dtype("mse", np.array([1, 2]), tf.float32) == tf.float32
    assert target_dtype("cross_entropy", np.array([1, 2]), tf.float32) == tf.int64


@pytest.fixture(scope="module")
def linear():
    with tf.device("/CPU:0"):
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])


def per_sample(outputs, targets):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda o, t: tf.reduce_mean(per_sample(o, t)), "reduction='none'"),
        (lambda o, t: per_sample(o, t)[:, None], r"must be \(4,\)"),
        (lambda o, t: tf.stop_gradient(per_sample(o, t)), "does not depend on the trained parameters"),
        (lambda o, t: per_sample(o, t) * float("nan"), "before training has begun"),
        (lambda o, t: [1.0] * len(t), "a list, not a tensor"),
    ],
)
def test_losses_that_cannot_be_used(linear, loss, message):
    with pytest.raises(InvalidModelError, match=message):
        make_backend(linear, X, Y, loss)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("cross_entropy", Y.astype(float), "integer class labels"),
        ("cross_entropy", Y[:, None], "labels of shape"),
        ("mse", np.zeros((5, 2)), "make them equal"),
        ("binary_cross_entropy", np.full((5, 3), 2), r"targets in \[0, 1\]"),
    ],
)
def test_targets_that_do_not_fit(linear, loss, y, message):
    with pytest.raises(InvalidDataError, match=message):
        make_backend(linear, X, y, loss)


def test_outputs_that_are_no_tensor_are_named():
    with pytest.raises(
        InvalidModelError, match="Gauss-Newton matrix needs a model that returns a tensor, not a Si"
    ):
        check_tensor(SimpleNamespace(), "the Gauss-Newton matrix")
    model = FunctionModel(lambda v, x: {"a": x @ v, "b": x @ v}, tf.Variable(np.zeros((6, 3))))
    with pytest.raises(InvalidModelError, match="returned a dict"):
        make_backend(model, X, Y)
    found = make_backend(FunctionModel(lambda v, x: {"logits": x @ v}, tf.Variable(np.zeros((6, 3)))), X, Y)
    assert found.predict(*found.initial(), found.batches(Data(X, Y)).take(np.arange(2))).shape == (2, 3)
