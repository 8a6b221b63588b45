"""A backend is used again for the same model alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from dataval.data import as_data
from dataval.errors import InvalidModelError
from dataval_tensorflow import FunctionModel
from dataval_tensorflow.cache import cache_key
from dataval_tensorflow.model.keras_models import KerasCaller
from dataval_tensorflow.model.modules import ModuleCaller
from tests.backends.support import make_backend
from tests.zoo import tensorflow_models as zoo
from tests.zoo.data import features

EXAMPLE = as_data(*features(4))


def key(model=None, loss="cross_entropy", device="/CPU:0", params=None, example=EXAMPLE):
    return cache_key(KerasCaller(model or zoo.mlp()), loss, device, params, example, None)


def copied(model):
    """A model with the same configuration, names of layers included, and the same weights."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def test_an_equal_model_with_equal_weights_has_the_same_key():
    model = zoo.mlp()
    assert key(model) is not None
    assert hash(key(model)) == hash(key(copied(model)))
    assert key(model) == key(copied(model))


def changed_weights(model):
    model.layers[0].kernel.assign(model.layers[0].kernel + 1e-6)
    return model


def frozen(model):
    model.layers[0].trainable = False
    return model


@pytest.mark.parametrize(
    "change",
    [
        {"model": changed_weights},
        {"model": frozen},
        {"model": lambda model: keras.Sequential([keras.Input((6,)), *model.layers[:1]])},
        {"loss": "mse"},
        {"device": "/GPU:0"},
        {"params": ["*kernel"]},
        {"example": as_data(*features(3))},
        {"example": as_data(features(4).X.astype("float32"), features(4).y)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_may_change_a_result_is_in_the_key(change):
    model = zoo.mlp()
    before = key(model)
    other = change.get("model", lambda model: model)(copied(model))
    assert key(other, **{name: value for name, value in change.items() if name != "model"}) != before


class Own(layers.Dense):
    """May do what its configuration doesn't say."""


@pytest.mark.parametrize(
    "change",
    [
        {"model": lambda: keras.Sequential([keras.Input((6,)), Own(3)])},
        {"loss": lambda outputs, targets: outputs[:, 0]},
        {"params": lambda name: True},
    ],
    ids=["own_layer", "own_loss", "predicate"],
)
def test_what_cannot_be_told_is_not_kept(change):
    change = {name: value() if name == "model" else value for name, value in change.items()}
    assert key(**change) is None


def test_modules_are_not_kept():
    model = FunctionModel(lambda v, x: x, [])
    assert cache_key(ModuleCaller(model), "mse", "/CPU:0", None, EXAMPLE, None) is None


def test_backends_are_shared_by_key():
    model = zoo.mlp()
    backend = make_backend(model, *features(4))
    assert make_backend(copied(model), *features(4)) is backend
    assert make_backend(changed_weights(copied(model)), *features(4)) is not backend


def test_other_samples_are_checked_though_the_backend_is_kept():
    model, (X, _) = zoo.mlp(), features(4)
    make_backend(model, X, np.zeros((4, 3)), "mse")
    with pytest.raises(InvalidModelError, match="before training has begun"):
        make_backend(model, X, np.full((4, 3), 1e200), "mse")
