"""What is TensorFlow's own: kinds of models, operations with difficult derivatives, and compiling."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dataval as dv
from dataval.errors import InvalidDataError, InvalidModelError, NotTwiceDifferentiableError, RunMismatchError
from dataval_tensorflow import FunctionModel
from tests.backends.support import SEED, assert_near, central, make_backend, make_case
from tests.zoo import tensorflow_models as zoo
from tests.zoo.data import features, images

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


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_and_that_the_model_is_left_alone(kind):
    model, (X, y) = KINDS[kind](), features(6)
    before = snapshot(model)
    case = make_case(model, X, y)
    weights, vector, zeros = case.weights(), case.draw(case.P), case.array(np.zeros(case.S))
    arguments = case.parameters, case.buffers, case.batch
    pullback = case.backend.loss.linearize(*arguments, weights, SEED).pullback
    product, slopes, _ = map(case.numpy, pullback(vector, zeros))
    expected = central(lambda h: case.gradient(case.moved(vector, h), weights)[1])
    assert_near(product, expected, 1e-7)
    rows = case.numpy(case.backend.loss.rows(*arguments, SEED))
    assert_near(rows @ case.numpy(vector), slopes, 1e-10)
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


def test_names_do_not_depend_on_what_was_built_before():
    first, second = zoo.mlp(), zoo.mlp()
    signatures = [make_backend(model, *features(4)).signature for model in (first, second)]
    assert signatures[0] == signatures[1]
    assert [name for name, _ in signatures[0].parameters][:2] == ["dense/kernel", "dense/bias"]


def test_factories_initialise_by_seed_and_leave_generators_alone():
    def initial(seed):
        return np.asarray(make_backend_of(lambda: keras.Sequential([layers.Dense(3)]), seed).initial()[0])

    def make_backend_of(factory, seed):
        return (
            dv.Learner(factory, training=dv.Training(seed=seed, batch_size=4), backend="tensorflow")
            .prepare(*features(4))
            .program.backend
        )

    state = random.getstate()
    np.testing.assert_array_equal(initial(1), initial(1))
    assert not np.array_equal(initial(1), initial(2))
    assert random.getstate() == state


@pytest.mark.parametrize("model", ["cnn_max_pool"])
def test_second_order_through_max_pooling(model):
    """XLA gets this wrong by some per cent, so compiling must not use it."""
    case = make_case(getattr(zoo, model)(), *images(6))
    vector, weights = case.draw(case.P), case.weights()
    pullback = case.backend.loss.linearize(case.parameters, case.buffers, case.batch, weights, SEED).pullback
    product = case.numpy(pullback(vector, case.array(np.zeros(case.S)))[0])
    # A step this short stays on one side of every kink and tie.
    expected = central(lambda h: case.gradient(case.moved(vector, h), weights)[1], step=1e-6)
    assert_near(product, expected, 1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_that_start_on_a_kink_are_no_missing_derivative(dtype):
    """Zero biases on black pixels put units exactly on ReLU's kink, and tie the entries of a pooling window."""
    make = {"dtype": dtype}
    model = keras.Sequential([keras.Input((8, 8, 1), **make), layers.Conv2D(4, 3, activation="relu", **make)])
    for layer in (layers.MaxPooling2D(2, **make), layers.Flatten(**make), layers.Dense(3, **make)):
        model.add(layer)
    X = images(4).X.transpose(0, 2, 3, 1).astype(dtype)
    X[:, :5] = 0
    backend = make_backend(model, X, np.arange(4) % 3)
    backend.check_second_order(backend.batches(dv.data.Data(X, np.arange(4) % 3)).take(np.arange(4)))


def test_rolled_loops_work_in_every_form():
    model = keras.Sequential([keras.Input((3, 2), **D), layers.SimpleRNN(4, **D), layers.Dense(3, **D)])
    X, y = features(4)
    case = make_case(model, X.reshape(4, 3, 2), y)
    arguments = case.parameters, case.buffers, case.batch
    rows = case.numpy(case.backend.loss.rows(*arguments, SEED))
    assert_near(rows.sum(0), case.gradient(case.parameters, case.array(np.ones(4)))[1], 1e-11)
    points = case.array(np.stack([case.numpy(case.parameters)] * 2))
    found = case.backend.loss.gradient(points, case.array(np.zeros((2, 0))), case.batch, case.weights(2), SEED)
    assert case.numpy(found[1]).shape == (2, case.P)


def test_attention_in_float32_survives():
    """oneDNN's batched products of this shape end the process when they are given one more axis."""
    inputs = keras.Input((16, 64))
    attended = layers.MultiHeadAttention(4, 16)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(attended)))
    rng = np.random.default_rng(0)
    case = make_case(model, rng.normal(size=(50, 16, 64)).astype("float32"), rng.integers(0, 3, 50))
    rows = case.numpy(case.backend.loss.rows(case.parameters, case.buffers, case.batch, SEED))
    assert_near(rows.sum(0), case.gradient(case.parameters, case.array(np.ones(50)))[1], 1e-4)


def test_functions_are_traced_once_a_batch_size():
    X, y = features(20)
    training = dv.Training(
        epochs=4, batch_size=6, optimizer=dv.SGD(learning_rate=0.1), schedule=dv.CosineSchedule()
    )
    learner = dv.Learner(function_model(), training=training, progress=False)
    hydra = dv.HyDRA(learner, hessian=True).fit(X, y)
    hydra.score(X, y)
    traced = hydra._replay.program.backend._training
    sizes = {6, 2}  # nominal and short
    assert traced.gradient.experimental_get_tracing_count() <= len(sizes) + 1  # and the examples' size
    assert traced.pullback.experimental_get_tracing_count() <= len(sizes) + 1


class Detached(layers.Layer):
    """Has a first derivative that a second one doesn't see."""

    def call(self, x: Any) -> Any:
        @tf.custom_gradient
        def square(x: Any) -> Any:
            return x**2, lambda upstream: upstream * tf.stop_gradient(2 * x)

        return square(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dropped_second_derivative_is_named(dtype):
    model = keras.Sequential(
        [keras.Input((6,), dtype=dtype), layers.Dense(4, dtype=dtype), Detached(dtype=dtype)]
    )
    model.add(layers.Dense(3, dtype=dtype))
    backend = make_backend(model, *features(4))
    batch = backend.batches(dv.data.Data(*features(4))).take(np.arange(4))
    with pytest.raises(NotTwiceDifferentiableError, match="detached"):
        backend.check_second_order(batch)


class Unseeded(layers.Layer):
    """Draws what no seed controls."""

    def call(self, x: Any) -> Any:
        return x * tf.random.uniform((), 0.5, 1.5, dtype=x.dtype)


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (lambda: keras.Sequential([layers.Dense(3)]), InvalidModelError, "no weights yet"),
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
        (
            lambda: keras.Sequential([keras.Input((6,)), layers.Dense(3, kernel_regularizer="l2")]),
            InvalidModelError,
            "weight_decay",
        ),
        (lambda: keras.Sequential([keras.Input((7,)), layers.Dense(3)]), InvalidDataError, "first 4 samples"),
        (lambda: tf.Module(), InvalidModelError, "can't be called"),
    ],
)
def test_models_that_are_refused(model, error, match):
    with pytest.raises(error, match=match):
        make_backend(model(), *features(4))


@pytest.mark.parametrize("key", ["threads", "onednn", "deterministic"])
def test_a_run_made_under_other_settings_is_refused(key):
    X, y = features(12)
    learner = dv.Learner(zoo.mlp(), training=dv.Training(epochs=1, batch_size=6), progress=False)
    run = learner.train(X, y)
    run.environment = run.environment | {key: "other"}
    with pytest.raises(RunMismatchError, match=f"recorded with {key}=other"):
        learner.prepare(X, y, run=run)
