"""Valuation methods: each a question about a run, about states, about what is trained again, or about data."""

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

__all__ = [
    "AME",
    "BM25",
    "EL2N",
    "LAVA",
    "TRAK",
    "AreaUnderMargin",
    "BetaShapley",
    "CSShapley",
    "DataBanzhaf",
    "DataOOB",
    "DataShapley",
    "DataValuator",
    "ForgettingEvents",
    "GraNd",
    "GradCos",
    "GradDot",
    "HyDRA",
    "InfluenceFunction",
    "InputSimilarity",
    "KNNShapley",
    "KernelLeaveOneOut",
    "LeastCore",
    "LeaveOneOut",
    "LoGra",
    "MeanLoss",
    "ProbabilityMargin",
    "RandomValues",
    "TKNNShapley",
    "TracIn",
]
