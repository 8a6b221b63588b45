"""Figures of values, as display objects in scikit-learn's manner.

Matplotlib is imported when the first figure is drawn, not before: ``pip install "dataval[plots]"``.
"""

from dataval.plotting.agreement import AgreementDisplay
from dataval.plotting.comparison import ComparisonDisplay
from dataval.plotting.explanation import ExplanationDisplay
from dataval.plotting.gallery import SampleGalleryDisplay
from dataval.plotting.learning_curve import LearningCurveDisplay
from dataval.plotting.noise_detection import NoiseDetectionDisplay
from dataval.plotting.removal_curve import RemovalCurveDisplay

__all__ = [
    "AgreementDisplay",
    "ComparisonDisplay",
    "ExplanationDisplay",
    "LearningCurveDisplay",
    "NoiseDetectionDisplay",
    "RemovalCurveDisplay",
    "SampleGalleryDisplay",
]
