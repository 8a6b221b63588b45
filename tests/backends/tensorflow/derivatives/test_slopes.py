"""Two ways to directional derivatives: reverse over reverse, and one pass back a value."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dataval_tensorflow.derivatives.slopes import by_rows, double_reverse
from tests.backends.support import assert_near

RNG = np.random.default_rng(0)
X = tf.constant(RNG.normal(size=(5, 6)))
POINT, VECTOR = tf.constant(RNG.normal(size=18)), tf.constant(RNG.normal(size=18))
WAYS = pytest.mark.parametrize("way", [double_reverse, by_rows])


def outputs(point):
    return tf.tanh(X @ tf.reshape(point, (6, 3)))


def expected():
    return (1 - outputs(POINT) ** 2).numpy() * (X @ tf.reshape(VECTOR, (6, 3))).numpy()


@WAYS
def test_of_outputs_with_several_axes(way):
    assert_near(way(outputs, POINT, VECTOR).numpy(), expected(), 1e-13)


@WAYS
def test_of_one_number_a_sample_in_a_graph(way):
    found = tf.function(lambda p, v: way(lambda q: tf.reduce_sum(outputs(q), 1), p, v))(POINT, VECTOR)
    assert_near(found.numpy(), expected().sum(1), 1e-13)


@WAYS
def test_what_does_not_depend_gives_zeros(way):
    found = way(lambda point: tf.reduce_sum(X, 1) + 0 * point[0], POINT, VECTOR)
    np.testing.assert_array_equal(found, np.zeros(5))


def test_the_last_way_needs_a_first_derivative_alone():
    @tf.custom_gradient
    def cubed(x):
        return x**3, lambda upstream: upstream * tf.stop_gradient(3 * x**2)

    found = by_rows(lambda point: cubed(point), POINT, VECTOR)
    assert_near(found.numpy(), (3 * POINT**2 * VECTOR).numpy(), 1e-14)
