"""Optimizers: each an update of (parameters, slots) and the pullback of that update."""

from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator

from dataval.training.optimizers.adam import Adam, AdamW
from dataval.training.optimizers.base import Array, Factors, Optimizer, ParameterGroup, Slots
from dataval.training.optimizers.clipping import clip_by_norm, clip_by_norm_vjp
from dataval.training.optimizers.lion import Lion
from dataval.training.optimizers.rectified import NAdam, RAdam
from dataval.training.optimizers.rmsprop import Adagrad, RMSprop
from dataval.training.optimizers.sgd import SGD

KnownOptimizer = Annotated[
    SGD | Adam | AdamW | NAdam | RAdam | RMSprop | Adagrad | Lion, Field(discriminator="name")
]


def _own_or(given: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Take an optimizer as it is, also one of the caller's own class."""
    return given if isinstance(given, Optimizer) else read(given)


AnyOptimizer = Annotated[SerializeAsAny[KnownOptimizer], WrapValidator(_own_or)]

_KNOWN = frozenset({SGD, Adam, AdamW, NAdam, RAdam, RMSprop, Adagrad, Lion})


def is_own(optimizer: Optimizer) -> bool:
    """Whether an optimizer is of a class that this library doesn't have."""
    return type(optimizer) not in _KNOWN


__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AnyOptimizer",
    "Array",
    "Factors",
    "Lion",
    "NAdam",
    "Optimizer",
    "ParameterGroup",
    "RAdam",
    "RMSprop",
    "Slots",
    "clip_by_norm",
    "clip_by_norm_vjp",
    "is_own",
]
