"""The contract between the library and a framework, and what all frameworks share."""

from dataval.backend.arrays import Array, Arrays
from dataval.backend.contract import Backend, Batches, Signature
from dataval.backend.objective import Objective, ObjectiveFunction
from dataval.backend.training_loss import FirstOrder, Linearization, TrainingLoss

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
