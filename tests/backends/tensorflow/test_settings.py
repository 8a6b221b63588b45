"""What a Keras model or loss brings along that training would ignore: honoured, refused or warned of."""

from __future__ import annotations

import warnings
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dataval as dv
from dataval.errors import (
    IgnoredSettingWarning,
    InvalidDataError,
    InvalidModelError,
    ProbabilityOutputsWarning,
)

RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(12, 6)) * 3 + 2).astype("float32"), RNG.integers(0, 3, 12)
BINARY = (Y > 0).astype("float32")[:, None]
TRAINING = dv.Training(optimizer=dv.SGD(learning_rate=0.01), epochs=1, batch_size=6)


def sequential(*stack):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), *stack])


def make(model, loss="cross_entropy", training=TRAINING, **options):
    return dv.Learner(model, loss, training, progress=False, **options)


def each(outputs, targets):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)


# ------------------------------------------------------------------------------------------ the model


class Penalised(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        outputs = self.dense(x)
        self.add_loss(tf.reduce_mean(outputs**2))
        return outputs


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return {}


class OwnLoss(keras.Sequential):
    def compute_loss(self, *args, **keywords):
        return tf.constant(0.0)


def half():
    return sequential(layers.Dense(3, dtype="mixed_bfloat16"))


REFUSED = [
    (lambda: sequential(layers.Dense(3, kernel_constraint="non_neg")), "constraints"),
    (lambda: sequential(layers.Dense(3, kernel_regularizer="l2")), "regularisers"),
    (lambda: sequential(layers.Dense(3, activity_regularizer="l2")), "adds losses of its own"),
    (Penalised, "adds losses of its own"),
    (lambda: OwnStep([keras.Input((6,)), layers.Dense(3)]), "train_step of its own"),
    (lambda: OwnLoss([keras.Input((6,)), layers.Dense(3)]), "compute_loss of its own"),
    (half, "computes in bfloat16"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_models_that_are_refused(build, message):
    with pytest.raises(InvalidModelError, match=message):
        make(build).prepare(X, Y)


def test_a_constraint_of_what_is_not_trained_is_fine():
    model = sequential(layers.Dense(4, kernel_constraint="non_neg", name="body"), layers.Dense(3, name="head"))
    assert make(model, params=["head/*"]).prepare(X, Y)


def test_a_constrained_variable_of_a_module_is_refused():
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(tf.ones((6, 3)), constraint=tf.nn.relu)

        def __call__(self, x):
            return x @ self.weight

    with pytest.raises(InvalidModelError, match=r"'weight'.*constraints"):
        make(Module()).prepare(X, Y)


def test_variables_in_a_closure_are_refused():
    weight = tf.Variable(tf.ones((6, 3)), name="stranger")

    class Closure(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x) + x @ weight

    with pytest.raises(InvalidModelError, match="stranger"):
        make(Closure).prepare(X, Y)


def test_what_compile_was_given_is_not_used():
    model = sequential(layers.Dense(3))
    model.compile("sgd", "mse")
    with pytest.warns(IgnoredSettingWarning, match="compile"):
        make(model).prepare(X, Y)


def test_a_frozen_layer_and_lora_are_honoured():
    model = sequential(layers.Dense(4, name="body"), layers.Dense(3, name="head"))
    model.get_layer("body").enable_lora(2)
    model.get_layer("head").trainable = False
    backend = make(model).prepare(X, Y).program.backend
    names = [name.rpartition("/")[2] for name, _ in backend.signature.parameters]
    assert sorted(names) == ["bias", "lora_kernel_a", "lora_kernel_b"]


# ------------------------------------------------------------------------------------------ the loss


def first_losses(model, loss, y):
    learner = make(model, loss, dv.Training(epochs=1, batch_size=12, shuffle=False))
    return learner.train(X, y).losses[0]


BINARY_OPTIONS = {"from_logits": True, "label_smoothing": 0.1}


@pytest.mark.parametrize(
    ("loss", "y", "units"),
    [
        (keras.losses.BinaryCrossentropy(reduction=None, **BINARY_OPTIONS), BINARY, 1),
        (partial(keras.losses.binary_crossentropy, **BINARY_OPTIONS), BINARY, 1),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none"), Y, 3),
        (tf.nn.sparse_softmax_cross_entropy_with_logits, Y, 3),
        (keras.losses.MeanAbsolutePercentageError(reduction="none"), 1 + BINARY, 1),
    ],
)
def test_losses_of_keras_take_the_targets_first(loss, y, units):
    """Compiled and not, in float32: a few roundings apart."""
    model = sequential(layers.Dense(units))
    expected = np.asarray(loss(y, model(X))).ravel()
    np.testing.assert_allclose(first_losses(model, loss, y), expected, rtol=1e-5)


def test_a_loss_of_keras_as_an_objective():
    learner = make(sequential(layers.Dense(1)), "binary_cross_entropy")
    run, swapped = learner.train(X, BINARY), partial(keras.losses.binary_crossentropy, from_logits=True)
    found = dv.HyDRA(learner, objective=swapped).fit(X, BINARY, run=run).score(X, BINARY)
    expected = dv.HyDRA(learner).fit(X, BINARY, run=run).score(X, BINARY)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)  # float32, two formulas


def test_an_averaging_loss_of_keras_is_refused():
    with pytest.raises(InvalidModelError, match="reduction='none'"):
        make(sequential(layers.Dense(1)), keras.losses.BinaryCrossentropy()).prepare(X, BINARY)


SCALE = tf.Variable(1.0, name="scale")
LOSSES = [
    (lambda o, t: tf.reduce_mean((o[:, :1] - tf.cast(t, o.dtype)) ** 2, axis=0), "on its neighbours"),
    (lambda o, t: each(o, t) * SCALE, "scale"),
    (lambda o, t: [1.0] * len(t), "returned a list"),
    (lambda o, t: each(o + tf.random.normal(o.shape), t), "draws random numbers"),
]


@pytest.mark.parametrize(("loss", "message"), LOSSES)
def test_losses_that_are_refused(loss, message):
    with pytest.raises(InvalidModelError, match=message):
        make(sequential(layers.Dense(3)), loss).prepare(X, Y)


def test_one_logit_under_cross_entropy():
    with pytest.raises(InvalidModelError, match="binary_cross_entropy"):
        make(sequential(layers.Dense(1))).prepare(X, 0 * Y)


@pytest.mark.parametrize(
    ("model", "loss", "y"),
    [
        (sequential(layers.Dense(3, "softmax")), "cross_entropy", Y),
        (sequential(layers.Dense(1, "sigmoid")), "binary_cross_entropy", BINARY),
    ],
)
def test_probabilities_under_a_loss_of_logits(model, loss, y):
    with pytest.warns(ProbabilityOutputsWarning, match="applied twice"):
        make(model, loss).prepare(X, y)


def test_probabilities_under_a_loss_of_probabilities_and_logits_of_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = keras.losses.BinaryCrossentropy(reduction=None)
        make(sequential(layers.Dense(1, "sigmoid")), loss).prepare(X, BINARY)
        zeros = sequential(layers.Dense(1, kernel_initializer="zeros"))
        make(zeros, "binary_cross_entropy").prepare(X, BINARY)


# -------------------------------------------------------------------------------------------- export


def normalised():
    layer = layers.Normalization()
    layer.adapt(X)
    return sequential(layer, layers.Dense(3))


def discretised():
    layer = layers.Discretization(num_bins=4)
    layer.adapt(X)
    return sequential(layer, layers.Embedding(5, 2), layers.Flatten(), layers.Dense(3))


def looked_up():
    layer = layers.IntegerLookup()
    layer.adapt(X.astype(int))
    return sequential(layer, layers.Embedding(40, 2), layers.Flatten(), layers.Dense(3))


@pytest.mark.parametrize(("build", "X"), [(normalised, X), (discretised, X), (looked_up, X.astype("int64"))])
def test_an_export_predicts_what_the_model_does_with_the_same_weights(build, X):
    """The same layers and weights, so to the bit."""
    model = build()
    learner = make(model)
    exported = learner.replay(X, Y, learner.train(X, Y)).export()
    before = model(X).numpy()
    model.set_weights(exported.get_weights())
    np.testing.assert_array_equal(exported(X), model(X))
    assert (model(X).numpy() != before).any()


class Forgetful(layers.Layer):
    """Keeps a number that its configuration doesn't know."""

    scale = 1.0

    def call(self, x):
        return self.scale * x


def test_an_export_that_predicts_otherwise_is_refused():
    model = sequential(Forgetful(), layers.Dense(3))
    model.layers[0].scale = 2.0
    learner = make(model)
    replay = learner.replay(X, Y, learner.train(X, Y))
    with pytest.raises(InvalidModelError, match="predicts otherwise"):
        replay.export()


# ----------------------------------------------------------------------------- inputs, outputs, batches


def named(name):
    return keras.Input((6,), name=name)


def test_a_functional_model_of_a_dict_of_inputs():
    inputs = {name: named(name) for name in "ab"}
    model = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(list(inputs.values()))))
    assert make(model).train({"a": X, "b": X}, Y).is_complete


class Keywords(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, a, b, training=False):
        return self.dense(a - b)


def test_a_model_of_two_named_inputs():
    assert make(Keywords).train({"a": X, "b": 2 * X}, Y).is_complete


def test_outputs_are_read_by_a_function():
    """The same arithmetic in another graph, in float32."""
    inputs = keras.Input((6,))
    hidden = layers.Dense(4, "tanh")(inputs)
    logits = layers.Dense(3)(hidden)
    plain = make(keras.Model(inputs, logits))
    learner = make(keras.Model(inputs, {"logits": logits, "hidden": hidden}), outputs=lambda o: o["logits"])
    run, expected = learner.train(X, Y), plain.train(X, Y)
    np.testing.assert_allclose(run.losses, expected.losses, rtol=1e-5)
    found = dv.HyDRA(learner).fit(X, Y, run=run).score(X, Y)
    np.testing.assert_allclose(found, dv.HyDRA(plain).fit(X, Y, run=expected).score(X, Y), rtol=1e-4, atol=1e-7)
    assert set(learner.replay(X, Y, run).export()(X)) == {"logits", "hidden"}


def test_a_last_batch_of_one_sample():
    """Keras's batch normalisation doesn't fail on one sample, but returns its bias whatever the sample is."""
    learner = make(sequential(layers.Dense(5), layers.BatchNormalization(), layers.Dense(3)))
    with pytest.raises(InvalidDataError, match="drop_last=True"):
        learner.prepare(np.vstack([X, X[:1]]), np.append(Y, 0))


@pytest.mark.parametrize(
    ("device", "error"),
    [("gpu0", ValueError), ("0", ValueError), ("", ValueError), (3, TypeError), (None, TypeError)],
)
def test_devices_that_are_none(device, error):
    with pytest.raises(error, match="CPU:0"):
        make(sequential(layers.Dense(3)), device=device).prepare(X, Y)


@pytest.mark.parametrize("device", ["cpu", "CPU:0", "/device:cpu:0"])
def test_names_of_the_processor(device):
    assert make(sequential(layers.Dense(3)), device=device).prepare(X, Y)
