"""How good values are: what they find, what they predict, and what chance alone would give."""

from dataval.evaluation.approximation import ApproximationError, approximation_error
from dataval.evaluation.compare import compare
from dataval.evaluation.comparison import Comparison, MethodResult, Outcome
from dataval.evaluation.learning_curve import LearningCurve, learning_curve
from dataval.evaluation.removal import RemovalCurve, addition_curve, removal_curve
from dataval.evaluation.smoothness import Smoothness, smoothness
from dataval.metrics.across_seeds import FidelityAcrossSeeds, fidelity_across_seeds
from dataval.metrics.agreement import LeaveOneOutAgreement, leave_one_out_agreement
from dataval.metrics.context import Baselines, OtherSeeds
from dataval.metrics.fidelity import LinearDatamodelingScore, SubsetTruth, linear_datamodeling_score
from dataval.metrics.label_decisions import LabelDecisions
from dataval.metrics.noise_detection import (
    Metric,
    MetricsAtK,
    NoiseDetectionReport,
    noise_detection,
)
from dataval.metrics.ranking import detection_curve
from dataval.metrics.stability import RankStability, ValueDistribution, rank_stability, value_distribution
from dataval.metrics.statistics import Interval
from dataval.retraining.subsets import retrain_subsets
from dataval.training.stability import RunStability

__all__ = [
    "ApproximationError",
    "Baselines",
    "Comparison",
    "FidelityAcrossSeeds",
    "Interval",
    "LabelDecisions",
    "LearningCurve",
    "LeaveOneOutAgreement",
    "LinearDatamodelingScore",
    "MethodResult",
    "Metric",
    "MetricsAtK",
    "NoiseDetectionReport",
    "OtherSeeds",
    "Outcome",
    "RankStability",
    "RemovalCurve",
    "RunStability",
    "Smoothness",
    "SubsetTruth",
    "ValueDistribution",
    "addition_curve",
    "approximation_error",
    "compare",
    "detection_curve",
    "fidelity_across_seeds",
    "learning_curve",
    "leave_one_out_agreement",
    "linear_datamodeling_score",
    "noise_detection",
    "rank_stability",
    "removal_curve",
    "retrain_subsets",
    "smoothness",
    "value_distribution",
]
