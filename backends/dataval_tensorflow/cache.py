"""Using a backend again for the same model, as tracing its functions takes seconds.

Every run that is trained makes a backend. It may be one made before where nothing can have changed in between:
the model consists of Keras's own layers, so that its configuration says all, and has the same values; the loss
is a named one; and the samples have the same shapes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable
from typing import Any

import keras

from dataval.backend.losses import Loss, NamedLoss, resolve_loss
from dataval.data import Data
from dataval_tensorflow.model.functional import Caller
from dataval_tensorflow.model.keras_models import KerasCaller

__all__ = ["cache_key"]


def cache_key(
    caller: Caller, loss: Loss, device: str, params: Any, example: Data, outputs: Any
) -> Hashable | None:
    """Return what determines a backend; None where that can't be told."""
    resolved = resolve_loss(loss)
    if not (isinstance(caller, KerasCaller) and isinstance(resolved, NamedLoss)):
        return None
    if callable(params) or outputs is not None or not _is_plain(caller.model):
        return None
    samples = [(name, leaf.shape, leaf.dtype.str) for name, leaf in example.leaves()]
    chosen = None if params is None else tuple(params)
    settings = device, chosen, type(example.inputs), tuple(samples)
    return _digest(caller), tuple(caller.trainable), resolved.model_dump_json(), settings


def _is_plain(model: keras.Model) -> bool:
    """Whether a model and all its layers are Keras's own."""
    return all(type(layer).__module__.startswith("keras.") for layer in model._flatten_layers())


def _digest(caller: KerasCaller) -> str:
    config = json.dumps(caller.model.get_config(), default=repr, sort_keys=True)
    digest = hashlib.blake2b(config.encode(), digest_size=16)
    for name, variable in (caller.trainable | caller.state).items():
        if name not in caller.seeds:
            digest.update(variable.numpy().tobytes())
    return digest.hexdigest()
