"""Valuation methods: each a question about one recorded run."""

from dataval.methods.base import DataValuator
from dataval.methods.hydra import HyDRA
from dataval.methods.influence import InfluenceFunction
from dataval.methods.mean_loss import MeanLoss
from dataval.methods.random_values import RandomValues

__all__ = ["DataValuator", "HyDRA", "InfluenceFunction", "MeanLoss", "RandomValues"]
