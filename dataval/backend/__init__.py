"""The contract between the library and a framework, and what all frameworks share."""

from dataval.backend.arrays import Array, Arrays
from dataval.backend.contract import (
    Backend,
    Batches,
    FirstOrder,
    Linearization,
    Objective,
    ObjectiveFunction,
    Signature,
    TrainingLoss,
)

__all__ = [
    "Array",
    "Arrays",
    "Backend",
    "Batches",
    "FirstOrder",
    "Linearization",
    "Objective",
    "ObjectiveFunction",
    "Signature",
    "TrainingLoss",
]
