"""Operations that are replaced while a function is traced, and what can't be given another axis."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dataval_tensorflow.model.layers import can_be_vectorised, differentiable_operations, uses_onednn
from tests.backends.support import SEED, assert_near, make_case

X = np.random.default_rng(0).normal(size=(4, 3, 5))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [[0], [1, 2], [-1]], ids=str)
def test_moments_are_the_same_numbers(axes, keepdims):
    expected = tf.nn.moments(X, axes, keepdims=keepdims)
    with differentiable_operations():
        found = tf.nn.moments(X, axes, keepdims=keepdims)
    for one, other in zip(found, expected, strict=True):
        assert_near(one.numpy(), other.numpy(), 1e-14)


def test_the_variances_second_derivative_sees_the_mean():
    """The sum of (x - mean)^2 / n has the Hessian 2 (I - 11'/n) / n."""
    x = tf.constant(X[0, 0])

    def hessian():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                variance = tf.nn.moments(x, [0])[1]
            slope = inner.gradient(variance, x)
        return outer.jacobian(slope, x).numpy()

    with differentiable_operations():
        found = hessian()
    assert_near(found, 2 * (np.eye(5) - 1 / 5) / 5, 1e-14)


@pytest.mark.parametrize(
    "options", [{"strides": 2}, {"dilations": 2}, {"strides": (2, 1), "padding": "SAME"}], ids=str
)
def test_convolutions_in_groups_have_a_gradient(options):
    """And are the same numbers; 1e-13: sums of 18 products in another order."""
    rng = np.random.default_rng(0)
    x, filters = tf.constant(rng.normal(size=(2, 7, 6, 4))), tf.constant(rng.normal(size=(3, 3, 2, 6)))
    expected = tf.nn.convolution(x, filters, **options)
    with differentiable_operations(), tf.GradientTape() as tape:
        tape.watch([x, filters])
        found = tf.nn.convolution(x, filters, **options)
    assert_near(found.numpy(), expected.numpy(), 1e-13)
    for gradient, point in zip(tape.gradient(found, [x, filters], expected), (x, filters), strict=True):
        # The function is linear in each: the slope along the point is the function itself.
        along = tf.reduce_sum(gradient * point)
        assert_near(along.numpy(), tf.reduce_sum(expected**2).numpy(), 1e-13)


def test_what_was_replaced_comes_back_even_after_a_failure():
    before = tf.nn.moments, tf.nn.convolution, tf.config.functions_run_eagerly()
    with differentiable_operations():
        assert tf.config.functions_run_eagerly()
    with pytest.raises(KeyError), differentiable_operations():
        raise KeyError
    assert (tf.nn.moments, tf.nn.convolution, tf.config.functions_run_eagerly()) == before


@pytest.mark.parametrize(("setting", "expected"), [("0", False), ("1", True), ("true", True)])
def test_onednn_is_what_the_environment_says(monkeypatch, setting, expected):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", setting)
    assert uses_onednn() is expected


def graph_of(function, *shape):
    return tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph


@pytest.mark.parametrize(
    ("rank", "device", "dtype", "onednn", "expected"),
    [
        (4, "/CPU:0", tf.float32, "1", False),
        (3, "/CPU:0", tf.float32, "1", True),
        (4, "/GPU:0", tf.float32, "1", True),
        (4, "/CPU:0", tf.float64, "1", True),
        (4, "/CPU:0", tf.float32, "0", True),
    ],
)
def test_deep_products_of_onednn_are_left_alone(monkeypatch, rank, device, dtype, onednn, expected):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    graph = graph_of(lambda x: tf.matmul(x, x, transpose_b=True), *([2] * rank))
    assert can_be_vectorised(graph, device, dtype) is expected


def test_attention_in_float32_survives():
    """oneDNN's batched products of this shape end the process when they are given one more axis."""
    inputs = keras.Input((16, 64))
    attended = layers.MultiHeadAttention(4, 16)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(attended)))
    rng = np.random.default_rng(0)
    case = make_case(model, rng.normal(size=(50, 16, 64)).astype("float32"), rng.integers(0, 3, 50))
    rows = case.numpy(case.backend.loss.rows(*case.at, SEED))
    # float32, over 50 samples and some 70 000 parameters.
    assert_near(rows.sum(0), case.gradient(case.parameters, case.array(np.ones(50)))[1], 1e-4)
