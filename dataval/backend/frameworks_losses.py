"""Losses that the frameworks bring along: which of them take the targets first, reduce, or take logits.

They are told by the names of their modules, so that no framework is imported here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy, Loss, LossFunction, resolve_loss
from dataval.errors import InvalidModelError

__all__ = ["check_reduction", "in_our_order", "is_keras_loss", "logits_of"]

_KERAS = ("keras", "tf_keras")
_TARGETS_FIRST = (*_KERAS, "tensorflow")
_TARGETS = {"y_true", "target", "labels"}
_LOGITS: dict[str, Literal["softmax", "sigmoid"]] = {
    "CrossEntropyLoss": "softmax",
    "BCEWithLogitsLoss": "sigmoid",
    "CategoricalCrossentropy": "softmax",
    "SparseCategoricalCrossentropy": "softmax",
    "BinaryCrossentropy": "sigmoid",
}


def in_our_order(function: LossFunction) -> LossFunction:
    """Return a loss or an objective as a function of (outputs, targets).

    Those of Keras and TensorFlow are functions of (targets, outputs); all others are returned as they are.
    """
    if is_keras_loss(function) or _is_function_of_targets(function):
        return lambda outputs, targets: function(targets, outputs)
    return function


def check_reduction(loss: LossFunction) -> None:
    """Raise if a framework's loss object is set to reduce the losses of a batch to one number.

    Raises
    ------
    InvalidModelError
    """
    reduction = getattr(loss, "reduction", None)
    if not (is_keras_loss(loss) or _has_base(loss, ("torch",), "_Loss")) or reduction in {None, "none"}:
        return
    raise InvalidModelError(
        f"the loss {type(loss).__name__} has reduction={reduction!r}, but data valuation needs one loss a "
        "sample: make it with reduction='none'"
    )


def is_keras_loss(loss: Any) -> bool:
    """Whether this is an instance of Keras's class of losses."""
    return _has_base(loss, _KERAS, "Loss")


def logits_of(loss: Loss) -> Literal["softmax", "sigmoid"] | None:
    """Return what a loss applies to its outputs, which are logits; None where that isn't known."""
    resolved = resolve_loss(loss)
    if isinstance(resolved, CrossEntropy):
        return "softmax"
    if isinstance(resolved, BinaryCrossEntropy):
        return "sigmoid"
    known = _root(type(resolved)) in {"torch", *_KERAS}
    options = getattr(resolved, "_fn_kwargs", {"from_logits": True})
    return _LOGITS.get(type(resolved).__name__) if known and options.get("from_logits") else None


def _is_function_of_targets(function: Callable[..., Any]) -> bool:
    while isinstance(function, partial):
        function = function.func
    if _root(function) not in _TARGETS_FIRST or not inspect.isroutine(function):
        return False
    return next(iter(inspect.signature(function).parameters), None) in _TARGETS


def _has_base(loss: Any, roots: tuple[str, ...], name: str) -> bool:
    return any(base.__name__ == name and _root(base) in roots for base in type(loss).__mro__)


def _root(thing: Any) -> str:
    return str(getattr(thing, "__module__", "")).partition(".")[0]
