"""Keras models with other values for their variables: names, copies, seeds."""

from __future__ import annotations

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.model.keras_models import KerasCaller, stable_names
from tests.zoo import tensorflow_models as zoo
from tests.zoo.data import features

X, Y = features(4)
BATCH = Batch(tf.constant(X), tf.constant(Y))


def values_of(caller):
    own = {name: tf.constant(v.numpy()) for name, v in (caller.trainable | caller.state).items()}
    return own | caller.seeded(tf.constant(1, tf.int64))


def test_names_do_not_depend_on_what_was_built_before():
    first, second = zoo.layer_norm(), zoo.layer_norm()
    names = [list(KerasCaller(model).trainable) for model in (first, second)]
    assert names[0] == names[1]
    assert names[0][:4] == [
        "dense/kernel",
        "dense/bias",
        "layer_normalization/gamma",
        "layer_normalization/beta",
    ]
    assert names[0][4] == "dense_1/kernel"


def test_names_of_the_callers_own_stay_and_equal_ones_are_numbered():
    class Own(keras.layers.Layer):
        def build(self, shape):
            self.one = self.add_weight(shape=(1,), name="w")
            self.two = self.add_weight(shape=(1,), name="w")

        def call(self, x):
            return x * self.one + self.two

    model = keras.Sequential([keras.Input((6,)), Own(name="mine"), layers.Dense(3, name="head")])
    assert sorted(stable_names(model).values()) == ["head/bias", "head/kernel", "mine/w", "mine/w#2"]


def test_a_call_uses_the_values_and_changes_no_variable():
    model = zoo.mlp()
    caller, before = KerasCaller(model), [v.numpy() for v in model.variables]
    values = {name: 2 * value for name, value in values_of(caller).items()}
    outputs, after = caller.call(values, BATCH, training=True)
    kernels = [values[f"{name}/{part}"].numpy() for name in ("dense", "dense_1") for part in ("kernel", "bias")]
    expected = np.tanh(X @ kernels[0] + kernels[1]) @ kernels[2] + kernels[3]
    np.testing.assert_allclose(outputs, expected, rtol=1e-12)
    assert all(after[name] is value for name, value in values.items())
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_seeds_decide_the_masks():
    caller = KerasCaller(zoo.dropout())
    assert len(caller.seeds) == 1
    outputs = [
        caller.call(values_of(caller) | caller.seeded(tf.constant(s, tf.int64)), BATCH, training=True)[0]
        for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


class Halved(layers.Layer):
    """A layer that isn't registered with Keras, with an argument of its own."""

    def __init__(self, by=2.0, **keywords):
        super().__init__(**keywords)
        self.by = by

    def call(self, x):
        return x / self.by

    def get_config(self):
        return super().get_config() | {"by": self.by}


def halved():
    return keras.Sequential([keras.Input((6,)), Halved(4.0), layers.Dense(3)])


@pytest.mark.parametrize("build", [zoo.cnn_batch_norm, halved])
def test_an_exported_copy_holds_the_values(build):
    model = build()
    caller = KerasCaller(model)
    values = {name: value + 1 for name, value in values_of(caller).items()}
    copy = caller.export(values)
    assert copy is not model
    for variable in copy.variables:
        np.testing.assert_array_equal(variable.numpy(), values[stable_names(copy)[id(variable)]])


def test_a_copy_in_double():
    single = zoo.mlp("float32")
    double = KerasCaller(single).doubled(values_of(KerasCaller(single)))
    assert {v.dtype for v in double.variables} == {"float64"}
    np.testing.assert_allclose(double(X), single(X.astype("float32")), rtol=1e-5, atol=1e-6)  # float32


def test_it_travels_with_its_weights():
    model = zoo.mlp()
    arrived = pickle.loads(pickle.dumps(KerasCaller(model)))
    np.testing.assert_array_equal(arrived.model(X), model(X))


def test_a_builders_model_travels_as_what_builds_it():
    caller = KerasCaller(zoo.mlp(), zoo.mlp)
    caller.model.layers[0].kernel.assign(0 * caller.model.layers[0].kernel)
    arrived = pickle.loads(pickle.dumps(caller))
    np.testing.assert_array_equal(arrived.model(X), caller.model(X))


def test_a_model_that_has_no_weights_yet_is_refused():
    with pytest.raises(InvalidModelError, match="no weights yet"):
        KerasCaller(keras.Sequential([layers.Dense(3)]))
