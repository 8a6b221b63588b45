"""The layer that can't be differentiated twice is named; right ones are not."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers

from dataval.backend.second_order import check_second_order
from dataval.errors import NotTwiceDifferentiableError
from dataval_tensorflow.derivatives.second_order import inexact_layer, named_layer_error
from tests.backends.support import Case, make_case, zoo_case
from tests.zoo import tensorflow_models as zoo
from tests.zoo.data import features


@pytest.mark.parametrize("model", ["cnn_batch_norm", "dropout"])
def test_no_layer_of_the_zoo_is_blamed(model):
    """One that draws random numbers draws the same for every difference."""
    case = zoo_case(zoo, model)
    assert case.backend.blame(case.batch) is None


@keras.saving.register_keras_serializable()
class Detached(layers.Layer):
    """Has a first derivative that a second one doesn't see."""

    def call(self, x: Any) -> Any:
        @tf.custom_gradient
        def square(x: Any) -> Any:
            return x**2, lambda upstream: upstream * tf.stop_gradient(2 * x)

        return square(x)


def detached_case(dtype: str) -> Case:
    make = {"dtype": dtype}
    drop = layers.Dropout(0.2, **make)  # stands before the layer that is at fault
    parts = [
        keras.Input((6,), **make),
        layers.Dense(4, **make),
        drop,
        Detached(**make),
        layers.Dense(3, **make),
    ]
    return make_case(keras.Sequential(parts), *features(5))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dropped_second_derivative_is_named(dtype):
    case = detached_case(dtype)
    with pytest.raises(NotTwiceDifferentiableError, match=r"the layer 'detached\w*' \(Detached\) differs"):
        check_second_order(case.backend, case.batch)


def test_a_missing_second_derivative_is_named_where_it_is_met():
    """TensorFlow says it by a LookupError; here no layer lacks one."""
    case = zoo_case(zoo, "dropout")
    model = case.backend.model
    missing = pytest.raises(NotTwiceDifferentiableError, match=r"an operation in the.*no second derivative")
    with missing, named_layer_error(model, case.batch):
        raise LookupError("no gradient defined for operation")
    with pytest.raises(RuntimeError, match="another"), named_layer_error(model, case.batch):
        raise RuntimeError("another")
    assert inexact_layer(model, case.batch) is None
