"""Products with Jacobians over rows, in both ways of going over them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.derivatives.gradients import (
    FirstThatWorks,
    each_row,
    gradient,
    jacobian_rows,
    single_rows,
    unused,
    vectorised,
)
from tests.backends.support import SEED, assert_near, make_case
from tests.zoo.data import features

X = tf.constant(features(5).X)
BATCH = Batch(X, tf.constant(features(5).y))
POINT = tf.constant(np.random.default_rng(1).normal(size=(6, 3)))
WAYS = pytest.mark.parametrize("over", [vectorised, each_row])


def losses(point, batch):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(batch.targets, batch.inputs @ point)


def dense_rows():
    p = tf.nn.softmax(X @ POINT).numpy() - np.eye(3)[BATCH.targets]
    return X.numpy()[:, :, None] * p[:, None, :]


@WAYS
def test_rows_of_samples_on_their_own(over):
    assert_near(single_rows(over, losses, POINT, BATCH).numpy(), dense_rows(), 1e-14)


@WAYS
def test_rows_of_a_batch_that_is_seen_whole(over):
    selection = tf.constant(np.random.default_rng(2).normal(size=(2, 5)))
    found = jacobian_rows(over, losses, POINT, BATCH, selection).numpy()
    assert_near(found, np.einsum("kn,nij->kij", selection, dense_rows()), 1e-13)


@WAYS
@pytest.mark.parametrize("n", [1, 3])
def test_functions_over_rows_of_structures(over, n):
    arrays = tf.constant(np.arange(2.0 * n).reshape(n, 2)), tf.constant(np.arange(float(n)))
    doubled, summed = over(lambda row: (2 * row[0], tf.reduce_sum(row[0]) + row[1]), arrays)
    np.testing.assert_array_equal(doubled, 2 * arrays[0])
    np.testing.assert_array_equal(summed, arrays[0].numpy().sum(1) + arrays[1])


def test_gradients_are_dense_and_zero_where_nothing_depends():
    table, idle = tf.Variable(np.ones((4, 2))), tf.Variable(np.ones(3))
    with tf.GradientTape() as tape:
        value = tf.gather(table, [1, 1, 3])
    found = gradient(tape, value, [table, idle])
    np.testing.assert_array_equal(found[0], [[0, 0], [2, 2], [0, 0], [1, 1]])
    np.testing.assert_array_equal(found[1], np.zeros(3))
    assert all(isinstance(f, tf.Tensor) for f in found)


def test_running_out_of_memory_is_not_a_missing_operation():
    """Though TensorFlow's error is an OpError, as those of missing operations are."""

    def hungry(x):
        raise tf.errors.ResourceExhaustedError(None, None, "too large")

    with pytest.raises(tf.errors.ResourceExhaustedError):
        FirstThatWorks(hungry, tf.sin)(tf.ones(1))


def test_unused_leaves_are_named():
    leaves = {"used": tf.ones(3), "idle": tf.ones(2)}
    assert unused(lambda named: named["used"] ** 2, leaves) == ["idle"]
    with pytest.raises(InvalidModelError, match="does not depend on the trained parameters"):
        unused(lambda named: tf.stop_gradient(named["used"]), leaves)


@pytest.mark.slow
def test_rolled_loops_work_in_every_form():
    """Their graphs can't be batched by every version of TensorFlow; what is right is used then."""
    make = {"dtype": "float64"}
    model = keras.Sequential(
        [keras.Input((3, 2), **make), layers.SimpleRNN(4, **make), layers.Dense(3, **make)]
    )
    X, y = features(4)
    case = make_case(model, X.reshape(4, 3, 2), y)
    ones = case.array(np.ones(4))
    assert_near(case.rows().sum(0), case.gradient(case.parameters, ones)[1], 1e-11)
    points, buffers = case.array(np.stack([case.numpy(case.parameters)] * 2)), case.array(np.zeros((2, 0)))
    found = case.backend.loss.gradient(points, buffers, case.batch, case.array(np.ones((2, 4))), SEED)
    assert_near(case.numpy(found[1][1]), case.gradient(case.parameters, ones)[1], 1e-12)
