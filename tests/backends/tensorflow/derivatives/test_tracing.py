"""Compiled functions: how often they are traced, and what compiling must not do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dataval as dv
from dataval_tensorflow import FunctionModel
from dataval_tensorflow.derivatives.gradients import each_row, vectorised
from dataval_tensorflow.derivatives.tracing import compiled, compiled_over_rows
from tests.backends.support import assert_near, central, make_case
from tests.zoo.data import features, images


def linear(variables, x):
    return x @ variables[0] + variables[1]


def test_functions_are_traced_once_a_batch_size():
    """However many updates, rates and seeds there are."""
    model = FunctionModel(linear, [tf.Variable(np.zeros((6, 3))), tf.Variable(np.zeros(3))])
    options = {"optimizer": dv.SGD(learning_rate=0.1), "schedule": dv.CosineSchedule()}
    learner = dv.Learner(model, training=dv.Training(epochs=4, batch_size=6, **options), progress=False)
    X, y = features(20)
    hydra = dv.HyDRA(learner, hessian=True).fit(X, y)
    hydra.score(X, y)
    loss = hydra._replay.program.backend.loss
    sizes = {6, 2}  # nominal and short
    for function in (loss._compiled_gradient, loss._pullback):
        assert 0 < function.experimental_get_tracing_count() <= len(sizes) + 1  # and the examples' size


def test_leading_arguments_are_fixed():
    function = compiled(lambda a, b, x: a * x + b, 2.0, 3.0)
    assert float(function(tf.constant(4.0))) == 11.0
    assert float(function(tf.constant(5.0))) == 13.0
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("fast", [True, False])
def test_what_cannot_be_vectorised_goes_row_by_row(fast):
    seen = []

    def squared(over, rows):
        seen.append(over)
        return over(lambda row: row**2, rows)

    function = compiled_over_rows(squared, lambda: (tf.ones((2, 3)),), fast=fast)
    np.testing.assert_array_equal(function(tf.constant([[1.0, 2], [3, 4]])), [[1, 4], [9, 16]])
    assert (vectorised in seen) is fast
    assert function.is_fast() is fast
    assert each_row in seen


def test_second_order_through_max_pooling():
    """XLA gets this wrong by some per cent, so compiling must not use it."""
    make = {"dtype": "float64"}
    parts = [keras.Input((1, 8, 8), **make), layers.Permute((2, 3, 1), **make), layers.Conv2D(2, 3, **make)]
    parts += [layers.MaxPooling2D(2, **make), layers.Flatten(**make), layers.Dense(3, **make)]
    with_pool = keras.Sequential(parts)
    case = make_case(with_pool, *images(6))
    vector, weights = case.draw(case.P), case.weights()
    # A step this short stays on one side of every tie.
    expected = central(lambda h: case.gradient(case.moved(vector, h), weights)[1], step=1e-6)
    assert_near(case.pullback(weights, vector)[0], expected, 1e-7)
