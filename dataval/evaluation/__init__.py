"""How good values are: what they find, what they predict, and what chance alone would give."""

from dataval.evaluation.approximation import ApproximationError, approximation_error
from dataval.evaluation.compare import compare
from dataval.evaluation.comparison import Comparison, MethodResult, Outcome
from dataval.evaluation.removal import RemovalCurve, addition_curve, removal_curve
from dataval.metrics.agreement import LeaveOneOutAgreement, leave_one_out_agreement
from dataval.metrics.fidelity import LinearDatamodelingScore, SubsetTruth, linear_datamodeling_score
from dataval.metrics.label_decisions import LabelDecisions
from dataval.metrics.noise_detection import (
    Metric,
    MetricsAtK,
    NoiseDetectionReport,
    noise_detection,
)
from dataval.metrics.ranking import detection_curve
from dataval.metrics.stability import RankStability, rank_stability
from dataval.metrics.statistics import Interval
from dataval.retraining.subsets import retrain_subsets

__all__ = [
    "ApproximationError",
    "Comparison",
    "Interval",
    "LabelDecisions",
    "LeaveOneOutAgreement",
    "LinearDatamodelingScore",
    "MethodResult",
    "Metric",
    "MetricsAtK",
    "NoiseDetectionReport",
    "Outcome",
    "RankStability",
    "RemovalCurve",
    "SubsetTruth",
    "addition_curve",
    "approximation_error",
    "compare",
    "detection_curve",
    "leave_one_out_agreement",
    "linear_datamodeling_score",
    "noise_detection",
    "rank_stability",
    "removal_curve",
    "retrain_subsets",
]
