"""Settings of a caller's model that change training in a way that can't be followed: refused, or warned of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from dataval.errors import InvalidModelError

__all__ = ["check_added_losses", "check_model", "check_variables", "ignored_settings"]

_STEPS = ("train_step", "compute_loss")
_HALF = {"float16", "bfloat16"}


def check_model(model: Any) -> None:
    """Raise if a Keras model trains in a way of its own, or computes in half precision.

    Raises
    ------
    InvalidModelError
    """
    own = [name for name in _STEPS if not _is_from_keras(model, name)]
    if own:
        raise InvalidModelError(
            f"{type(model).__name__} has {' and '.join(own)} of its own, which training here would not call: "
            "leave them out, and give the Learner a loss(outputs, targets) -> (n,) that says the same"
        )
    for layer in model._flatten_layers():
        if getattr(layer, "compute_dtype", None) in _HALF:
            raise InvalidModelError(
                f"the layer {layer.name!r} computes in {layer.compute_dtype}: build the model with dtype "
                "float32 or float64 (hypergradients need at least float32)"
            )


def check_variables(variables: Mapping[str, Any]) -> None:
    """Raise if trained variables, by name, have regularisers, constraints or updates of their own.

    Raises
    ------
    InvalidModelError
    """
    regularised = [name for name, v in variables.items() if getattr(v, "regularizer", None) is not None]
    if regularised:
        raise InvalidModelError(
            f"{regularised} have regularisers, which are no sample's loss: leave them out and use the "
            "optimizer's weight_decay"
        )
    constrained = [name for name, v in variables.items() if getattr(v, "constraint", None) is not None]
    if constrained:
        raise InvalidModelError(
            f"{constrained} have constraints, which are no part of an optimizer's update here: leave them out, "
            "and let a layer compute its weights from free ones (softplus for positive weights)"
        )
    overwritten = [name for name, v in variables.items() if getattr(v, "overwrite_with_gradient", False)]
    if overwritten:
        raise InvalidModelError(
            f"{overwritten} are overwritten by their gradients (float8 scales), which is no optimizer's "
            "update: pass the model as it was before quantising"
        )


def check_added_losses(losses: list[Any]) -> None:
    """Raise if a model added losses during a forward pass.

    Raises
    ------
    InvalidModelError
    """
    if losses:
        raise InvalidModelError(
            "the model adds losses of its own (add_loss, an activity regulariser), which are no sample's loss: "
            "leave them out, or return what they need among the outputs and add it in loss(outputs, targets)"
        )


def ignored_settings(model: Any) -> list[str]:
    """Name what a model says about its training, which is not used."""
    if not isinstance(model, keras.Model):
        return []
    own_metrics = [] if _is_from_keras(model, "compute_metrics") else ["compute_metrics"]
    return ["compile() settings (optimizer, loss, metrics)"] * bool(model.compiled) + own_metrics


def _is_from_keras(model: Any, name: str) -> bool:
    """Whether a method is Keras's own, not that of a class of the caller's."""
    owner = next((base for base in type(model).__mro__ if name in vars(base)), keras.Model)
    return owner.__module__.partition(".")[0] == "keras"
