"""The values of a Keras model's weights, as others keep them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dataval.checks import described
from dataval.errors import InvalidModelError
from dataval_tensorflow.model.functional import FunctionalModel
from dataval_tensorflow.model.keras_models import KerasCaller

__all__ = ["read_state"]


def read_state(model: FunctionalModel, given: Any, what: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Return flat parameters and buffers from a Keras model, the list of its weights, or a ``.keras`` file.

    Raises
    ------
    InvalidModelError
        If the number of weights or their shapes don't fit.
    """
    caller = model.caller
    if not isinstance(caller, KerasCaller):
        raise InvalidModelError("states can be read for Keras models alone")
    values = _values(given, what)
    own = caller.model.weights
    if [tuple(np.shape(value)) for value in values] != [tuple(variable.shape) for variable in own]:
        raise InvalidModelError(
            f"{what} has weights of shapes {[np.shape(v) for v in values]}, the model's are "
            f"{[tuple(variable.shape) for variable in own]}"
        )
    known = caller.trainable | caller.state
    by_id = {id(variable): value for variable, value in zip(own, values, strict=True)}
    named = {name: tf.constant(by_id.get(id(v), np.asarray(v))) for name, v in known.items()}
    parameters = model.layout.join([named[name] for name in model.layout.names], model.dtype)
    return parameters, model.buffer_layout.join(
        [named[name] for name in model.buffer_layout.names], model.dtype
    )


def _values(given: Any, what: str) -> list[Any]:
    if isinstance(given, str) or hasattr(given, "__fspath__"):
        given = keras.saving.load_model(given, compile=False)
    if isinstance(given, keras.Model):
        return list(given.get_weights())
    if not isinstance(given, list | tuple):
        raise InvalidModelError(
            f"{what} is {described(given)}: pass a Keras model, its get_weights(), or the path of a .keras file"
        )
    return list(given)
