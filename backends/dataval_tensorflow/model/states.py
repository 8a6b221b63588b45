"""The arrays of a model, a list of weights or a file, under the names of the learner's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dataval.errors import InvalidModelError
from dataval_tensorflow.model.functional import Caller
from dataval_tensorflow.model.keras_models import KerasCaller, stable_names
from dataval_tensorflow.model.modules import ModuleCaller
from dataval_tensorflow.model.parameters import Named

__all__ = ["arrays_in", "arrays_of_caller"]

Arrays = dict[str, NDArray[Any]]


def arrays_of_caller(caller: Caller, own: Named) -> Arrays:
    """Return the values of a model's variables by name, without the states of its random generators."""
    return {name: value.numpy() for name, value in own.items() if name not in caller.seeds}


def arrays_in(given: Any, caller: Caller, own: Named) -> Arrays:
    """Return the arrays of a state under the names that the caller's model has.

    Parameters
    ----------
    given : Model, Module, mapping, sequence of arrays, or path
        A model; arrays by name; the list that ``get_weights()`` returns; a ``.keras`` or ``.weights.h5`` file.
    caller : Caller
        Of the learner's model.
    own : dict of str to Tensor
        The values of its variables.

    Raises
    ------
    TypeError
        If it is nothing of the kind.
    InvalidModelError
        If it can't be read.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(given, str | PathLike):
        given = _read(Path(given), caller, own)
    if isinstance(given, keras.Model):
        names = stable_names(given)
        return {names[id(variable)]: variable.numpy() for variable in given.weights}
    if isinstance(given, tf.Module):
        other = ModuleCaller(given)
        values = (other.trainable | other.state).items()
        return {name: variable.numpy() for name, variable in values if name not in other.seeds}
    if isinstance(given, Mapping):
        return {name: np.asarray(array) for name, array in given.items()}
    if isinstance(given, Sequence) and isinstance(caller, KerasCaller):
        return _in_order(given, caller)
    raise TypeError(
        "a state is a model, a dict of arrays by name, the list of get_weights() or the path of a .keras or "
        f".weights.h5 file, got {type(given).__name__}"
    )


def _in_order(given: Sequence[Any], caller: KerasCaller) -> Arrays:
    weights, names = caller.model.weights, stable_names(caller.model)
    if len(given) != len(weights):
        raise InvalidModelError(f"it has {len(given)} arrays, the model's get_weights() {len(weights)}")
    return {names[id(variable)]: np.asarray(array) for variable, array in zip(weights, given, strict=True)}


def _read(path: Path, caller: Caller, own: Named) -> keras.Model:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    try:
        if path.suffix == ".keras":
            return keras.saving.load_model(path, compile=False)
        model = caller.export(own)
        model.load_weights(path)
    except Exception as error:
        first = str(error).strip().split("\n")[0][:200]
        raise InvalidModelError(
            f"{path.name} can't be read as weights of the model ({first}): pass the loaded model, or its "
            "get_weights()"
        ) from error
    return model
