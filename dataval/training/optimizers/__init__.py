"""Optimizers: each an update of (parameters, slots) and the pullback of that update."""

from typing import Annotated

from pydantic import Field

from dataval.training.optimizers.adam import Adam, AdamW
from dataval.training.optimizers.base import Array, Factors, Optimizer, ParameterGroup, Slots
from dataval.training.optimizers.clipping import clip_by_norm, clip_by_norm_vjp
from dataval.training.optimizers.sgd import SGD

AnyOptimizer = Annotated[SGD | Adam | AdamW, Field(discriminator="name")]

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "AnyOptimizer",
    "Array",
    "Factors",
    "Optimizer",
    "ParameterGroup",
    "Slots",
    "clip_by_norm",
    "clip_by_norm_vjp",
]
