"""Figures of values, as display objects in scikit-learn's manner.

Matplotlib is imported when the first figure is drawn, not before: ``pip install "dataval[plots]"``.
"""

from dataval.plotting.gallery import SampleGalleryDisplay
from dataval.plotting.noise_detection import NoiseDetectionDisplay

__all__ = ["NoiseDetectionDisplay", "SampleGalleryDisplay"]
