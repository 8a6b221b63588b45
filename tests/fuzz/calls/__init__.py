"""Every public call that takes arguments: one that works, and what each argument can't be."""

from tests.fuzz.calls.evaluation import EVALUATION
from tests.fuzz.calls.files import FILES
from tests.fuzz.calls.learners import LEARNERS
from tests.fuzz.calls.methods import METHODS
from tests.fuzz.calls.noise import DATASETS, NOISE
from tests.fuzz.calls.options import OPTIONS
from tests.fuzz.calls.reports import REPORTS

__all__ = ["CALLS", "EXEMPT"]

CALLS = OPTIONS | LEARNERS | METHODS | EVALUATION | NOISE | DATASETS | FILES | REPORTS

EXEMPT = {
    "ImageFolder",
    "ApproximationError",
    "Baselines",
    "FidelityAcrossSeeds",
    "Interval",
    "LearningCurve",
    "LabelDecisions",
    "LeaveOneOutAgreement",
    "LinearDatamodelingScore",
    "MethodResult",
    "Metric",
    "MetricsAtK",
    "NoiseDetectionReport",
    "Outcome",
    "OtherSeeds",
    "RankStability",
    "ValueDistribution",
    "RemovalCurve",
    "RunStability",
    "Smoothness",
    "TrainingInterrupted",
    "TrainingRun",
    "NoisyFeatures",
    "NoisyLabels",
    "NoisySamples",
    "Dataset",
    "Operator",
    "Solution",
    "Solver",
    "MeanSquaredError",
    "Identity",
}
"""What calls give back, and what has no argument that could be wrong."""
