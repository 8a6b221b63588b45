"""dataval: what each training sample does to a model.

>>> import dataval as dv
>>> learner = dv.Learner(net, loss="cross_entropy", training=dv.Training(epochs=20))
>>> values = dv.HyDRA(learner).fit(X, y).score(X_val, y_val)

Values are float64, one a training sample, in the unit of the validation loss. Positive: the sample helps.
Negative: it hurts.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING
from typing import Any as _Any

from dataval._moved import MOVED as _MOVED
from dataval._moved import find_moved as _find_moved

if TYPE_CHECKING:
    from dataval import datasets, errors, evaluation, noise, plotting, solvers
    from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError, TokenCrossEntropy
    from dataval.curvature.kronecker.options import EKFAC, KFAC
    from dataval.detection.label_errors import LabelErrors
    from dataval.errors import ChaoticTrainingWarning, TrainingInterrupted
    from dataval.evaluation.compare import compare
    from dataval.methods.area_under_margin import AreaUnderMargin
    from dataval.methods.base import DataValuator
    from dataval.methods.bm25 import BM25
    from dataval.methods.cs_shapley import CSShapley
    from dataval.methods.data_oob import DataOOB
    from dataval.methods.el2n import EL2N
    from dataval.methods.forgetting_events import ForgettingEvents
    from dataval.methods.grad_dot import GradCos, GradDot
    from dataval.methods.grand import GraNd
    from dataval.methods.hydra import HyDRA
    from dataval.methods.influence import InfluenceFunction
    from dataval.methods.input_similarity import InputSimilarity
    from dataval.methods.kernel_leave_one_out import KernelLeaveOneOut
    from dataval.methods.knn_shapley import KNNShapley
    from dataval.methods.lava import LAVA
    from dataval.methods.leave_one_out import LeaveOneOut
    from dataval.methods.logra import LoGra
    from dataval.methods.mean_loss import MeanLoss
    from dataval.methods.probability_margin import ProbabilityMargin
    from dataval.methods.random_values import RandomValues
    from dataval.methods.shapley import AME, BetaShapley, DataBanzhaf, DataShapley, LeastCore
    from dataval.methods.tknn_shapley import TKNNShapley
    from dataval.methods.tracin import TracIn
    from dataval.methods.trak import TRAK
    from dataval.reports.report import report
    from dataval.reports.review import apply_review
    from dataval.training.checkpoints import Checkpoints
    from dataval.training.config import Training
    from dataval.training.learner import Learner
    from dataval.training.optimizers import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop
    from dataval.training.run import TrainingRun
    from dataval.training.schedules import (
        ConstantSchedule,
        CosineSchedule,
        ExplicitSchedule,
        ExponentialSchedule,
        LinearSchedule,
        OneCycleSchedule,
        PolynomialSchedule,
        StepSchedule,
    )

__all__ = [
    "AME",
    "BM25",
    "EKFAC",
    "EL2N",
    "KFAC",
    "LAVA",
    "SGD",
    "TRAK",
    "Adagrad",
    "Adam",
    "AdamW",
    "AreaUnderMargin",
    "BetaShapley",
    "BinaryCrossEntropy",
    "CSShapley",
    "ChaoticTrainingWarning",
    "Checkpoints",
    "ConstantSchedule",
    "CosineSchedule",
    "CrossEntropy",
    "DataBanzhaf",
    "DataOOB",
    "DataShapley",
    "DataValuator",
    "ExplicitSchedule",
    "ExponentialSchedule",
    "ForgettingEvents",
    "GraNd",
    "GradCos",
    "GradDot",
    "HyDRA",
    "InfluenceFunction",
    "InputSimilarity",
    "KNNShapley",
    "KernelLeaveOneOut",
    "LabelErrors",
    "Learner",
    "LeastCore",
    "LeaveOneOut",
    "LinearSchedule",
    "Lion",
    "LoGra",
    "MeanLoss",
    "MeanSquaredError",
    "NAdam",
    "OneCycleSchedule",
    "PolynomialSchedule",
    "ProbabilityMargin",
    "RAdam",
    "RMSprop",
    "RandomValues",
    "StepSchedule",
    "TKNNShapley",
    "TokenCrossEntropy",
    "TracIn",
    "Training",
    "TrainingInterrupted",
    "TrainingRun",
    "apply_review",
    "compare",
    "datasets",
    "errors",
    "evaluation",
    "noise",
    "plotting",
    "report",
    "solvers",
]

_HOMES = {
    "dataval.backend.losses": ("BinaryCrossEntropy", "CrossEntropy", "MeanSquaredError", "TokenCrossEntropy"),
    "dataval.curvature.kronecker.options": ("EKFAC", "KFAC"),
    "dataval.detection.label_errors": ("LabelErrors",),
    "dataval.errors": ("ChaoticTrainingWarning", "TrainingInterrupted"),
    "dataval.evaluation.compare": ("compare",),
    "dataval.methods": (
        "AME",
        "BM25",
        "EL2N",
        "LAVA",
        "CSShapley",
        "DataOOB",
        "TRAK",
        "KNNShapley",
        "TKNNShapley",
        "AreaUnderMargin",
        "BetaShapley",
        "DataBanzhaf",
        "DataShapley",
        "DataValuator",
        "ForgettingEvents",
        "GraNd",
        "GradCos",
        "GradDot",
        "HyDRA",
        "InfluenceFunction",
        "InputSimilarity",
        "LeastCore",
        "KernelLeaveOneOut",
        "LeaveOneOut",
        "LoGra",
        "MeanLoss",
        "ProbabilityMargin",
        "RandomValues",
        "TracIn",
    ),
    "dataval.reports.report": ("report",),
    "dataval.reports.review": ("apply_review",),
    "dataval.training.checkpoints": ("Checkpoints",),
    "dataval.training.config": ("Training",),
    "dataval.training.learner": ("Learner",),
    "dataval.training.optimizers": ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Lion"),
    "dataval.training.run": ("TrainingRun",),
    "dataval.training.schedules": (
        "ConstantSchedule",
        "CosineSchedule",
        "ExplicitSchedule",
        "ExponentialSchedule",
        "LinearSchedule",
        "OneCycleSchedule",
        "PolynomialSchedule",
        "StepSchedule",
    ),
}
"""The names whose modules are imported at their first use, so that importing dataval takes no time."""

_HOME = {name: home for home, names in _HOMES.items() for name in names}

_find_moved()


def __getattr__(name: str) -> _Any:
    if name == "__version__":
        found: _Any = _version("dataval")
    elif name in _HOME:
        found = getattr(_load(_HOME[name]), name)
    elif name in __all__ or f"dataval.{name}" in _MOVED:
        return _load(f"dataval.{name}")
    else:
        raise AttributeError(f"module 'dataval' has no attribute {name!r}")
    globals()[name] = found
    return found


def _load(module: str) -> _Any:
    from dataval.process import first_use

    with first_use():
        return _import_module(module)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
