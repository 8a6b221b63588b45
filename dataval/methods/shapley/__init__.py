"""What a sample adds to coalitions of the others: the Shapley value and its relatives, by training again."""

from dataval.methods.shapley.ame import AME
from dataval.methods.shapley.beta_shapley import BetaShapley
from dataval.methods.shapley.data_banzhaf import DataBanzhaf
from dataval.methods.shapley.data_shapley import DataShapley
from dataval.methods.shapley.least_core import LeastCore

__all__ = ["AME", "BetaShapley", "DataBanzhaf", "DataShapley", "LeastCore"]
