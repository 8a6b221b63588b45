"""dataval: what each training sample does to a model.

>>> import dataval as dv
>>> learner = dv.Learner(net, loss="cross_entropy", training=dv.Training(epochs=20))
>>> values = dv.HyDRA(learner).fit(X, y).score(X_val, y_val)

Values are float64, one a training sample, in the unit of the validation loss. Positive: the sample helps.
Negative: it hurts.
"""

from dataval import datasets, errors, evaluation, noise, solvers
from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from dataval.errors import ChaoticTrainingWarning, TrainingInterrupted
from dataval.evaluation import compare
from dataval.methods import (
    EL2N,
    AreaUnderMargin,
    DataValuator,
    ForgettingEvents,
    GraNd,
    HyDRA,
    InfluenceFunction,
    LeaveOneOut,
    MeanLoss,
    RandomValues,
    TracIn,
)
from dataval.training.checkpoints import Checkpoints
from dataval.training.config import Training
from dataval.training.learner import Learner
from dataval.training.optimizers import SGD, Adam, AdamW
from dataval.training.run import TrainingRun
from dataval.training.schedules import ConstantSchedule, CosineSchedule, ExplicitSchedule, StepSchedule

__version__ = "0.1.0"

__all__ = [
    "EL2N",
    "SGD",
    "Adam",
    "AdamW",
    "AreaUnderMargin",
    "BinaryCrossEntropy",
    "ChaoticTrainingWarning",
    "Checkpoints",
    "ConstantSchedule",
    "CosineSchedule",
    "CrossEntropy",
    "DataValuator",
    "ExplicitSchedule",
    "ForgettingEvents",
    "GraNd",
    "HyDRA",
    "InfluenceFunction",
    "Learner",
    "LeaveOneOut",
    "MeanLoss",
    "MeanSquaredError",
    "RandomValues",
    "StepSchedule",
    "TracIn",
    "Training",
    "TrainingInterrupted",
    "TrainingRun",
    "compare",
    "datasets",
    "errors",
    "evaluation",
    "noise",
    "solvers",
]
