"""Valuation methods: each a question about a run, about states, about what is trained again, or about data."""

from dataval.methods.area_under_margin import AreaUnderMargin
from dataval.methods.base import DataValuator
from dataval.methods.el2n import EL2N
from dataval.methods.forgetting_events import ForgettingEvents
from dataval.methods.grand import GraNd
from dataval.methods.hydra import HyDRA
from dataval.methods.influence import InfluenceFunction
from dataval.methods.leave_one_out import LeaveOneOut
from dataval.methods.mean_loss import MeanLoss
from dataval.methods.random_values import RandomValues
from dataval.methods.tracin import TracIn

__all__ = [
    "EL2N",
    "AreaUnderMargin",
    "DataValuator",
    "ForgettingEvents",
    "GraNd",
    "HyDRA",
    "InfluenceFunction",
    "LeaveOneOut",
    "MeanLoss",
    "RandomValues",
    "TracIn",
]
