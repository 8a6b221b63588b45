"""Every public call that takes arguments: one that works, and what each argument can't be."""

from tests.fuzz.calls.evaluation import EVALUATION
from tests.fuzz.calls.files import FILES
from tests.fuzz.calls.learners import LEARNERS
from tests.fuzz.calls.methods import METHODS
from tests.fuzz.calls.noise import DATASETS, NOISE
from tests.fuzz.calls.options import OPTIONS

__all__ = ["CALLS", "EXEMPT"]

CALLS = OPTIONS | LEARNERS | METHODS | EVALUATION | NOISE | DATASETS | FILES

EXEMPT = {
    "ImageFolder",
    "ApproximationError",
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
