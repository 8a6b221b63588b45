"""Kinds of models as pure functions, and models that can't be used."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError
from dataval_tensorflow import FunctionModel
from tests.backends.support import assert_near, central, make_backend, make_case
from tests.zoo import tensorflow_models as zoo
from tests.zoo.data import features

D = {"dtype": "float64"}


class Subclassed(keras.Model):
    """Two dense layers around dropout, with a layer in a list."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords | D)
        self.first = [layers.Dense(5, activation="tanh", **D)]
        self.drop, self.head = layers.Dropout(0.4, **D), layers.Dense(3, **D)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.drop(self.first[0](x), training=training))


class Module(tf.Module):
    """Variables in attributes, a list and a dict; running statistics; dropout from a generator."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.weights = [tf.Variable(rng.normal(size=(6, 5))), tf.Variable(rng.normal(size=(5, 3)))]
        self.more = {"bias": tf.Variable(np.zeros(3))}
        self.center = tf.Variable(np.zeros(5), trainable=False)
        self.generator = tf.random.Generator.from_seed(1)

    @tf.function
    def __call__(self, x: Any, training: bool = False) -> Any:
        hidden = tf.tanh(x @ self.weights[0])
        if training:
            self.center.assign(0.9 * self.center + 0.1 * tf.reduce_mean(hidden, 0))
            hidden = hidden * self.generator.uniform(hidden.shape, 0.5, 1.5, dtype=tf.float64)
        return (hidden - self.center) @ self.weights[1] + self.more["bias"]


def function_model() -> FunctionModel:
    rng = np.random.default_rng(0)

    def forward(variables: Any, x: Any) -> Any:
        weights, bias = variables
        return tf.tanh(x @ weights) * 2 + bias

    return FunctionModel(forward, [tf.Variable(rng.normal(size=(6, 3))), tf.Variable(np.zeros(3))])


def subclassed() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, 6)))
    return model


KINDS = {"subclassed": subclassed, "module": Module, "function": function_model, "dropout": zoo.dropout}


def snapshot(model: Any) -> list[Any]:
    return [v.numpy() for v in model.variables] + [sorted(vars(model)), random.getstate()]


@pytest.mark.parametrize(
    "kind",
    ["module", "dropout", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("subclassed", "function"))],
)
def test_derivatives_and_that_the_model_is_left_alone(kind):
    model, (X, y) = KINDS[kind](), features(6)
    before = snapshot(model)
    case = make_case(model, X, y)
    weights, vector = case.weights(), case.draw(case.P)
    product, slopes, _ = case.pullback(weights, vector)
    expected = central(lambda h: case.gradient(case.moved(vector, h), weights)[1])
    assert_near(product, expected, 1e-7)
    assert_near(case.rows() @ case.numpy(vector), slopes, 1e-10)
    training = dv.Training(epochs=2, batch_size=3, optimizer=dv.SGD(learning_rate=0.1))
    learner = dv.Learner(model, training=training, progress=False)
    hydra = dv.HyDRA(learner, hessian=True).fit(X, y)
    assert np.isfinite(hydra.score(X, y)).all()
    exported = hydra._replay.export()
    final = hydra._replay.final
    expected = case.numpy(case.backend.predict(final.parameters, final.buffers, case.batch))
    assert_near(np.asarray(exported(case.batch.inputs)), expected, 1e-12)
    for one, other in zip(snapshot(model), before, strict=True):
        np.testing.assert_equal(one, other)


class Unseeded(layers.Layer):
    """Draws what no seed controls."""

    def call(self, x: Any) -> Any:
        return x * tf.random.uniform((), 0.5, 1.5, dtype=x.dtype)


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (
            lambda: keras.Sequential([keras.Input((6,)), layers.ReLU()]),
            InvalidModelError,
            "no trainable parameter",
        ),
        (
            lambda: keras.Sequential([keras.Input((6,)), layers.Dense(3), Unseeded()]),
            InvalidModelError,
            "no seed controls",
        ),
        (lambda: keras.Sequential([keras.Input((7,)), layers.Dense(3)]), InvalidDataError, "first 4 samples"),
    ],
)
def test_models_that_are_refused(model, error, match):
    with pytest.raises(error, match=match):
        make_backend(model(), *features(4))
