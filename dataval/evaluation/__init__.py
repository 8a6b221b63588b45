"""How good values are: what they find, what they predict, and what chance alone would give."""

from dataval.evaluation.noise_detection import (
    Metric,
    MetricsAtK,
    NoiseDetectionReport,
    noise_detection,
)
from dataval.evaluation.ranking import detection_curve

__all__ = [
    "Metric",
    "MetricsAtK",
    "NoiseDetectionReport",
    "detection_curve",
    "noise_detection",
]
