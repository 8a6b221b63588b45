"""Known noise, put into data on purpose, so that a method can be judged by whether it finds it.

Every function returns copies and a mask of the samples that really changed, drawn from `seed`
alone: the same seed gives the same noise. The arrays passed in are never written to.
"""

from dataval.noise.backdoor import NoisySamples, backdoor_patch
from dataval.noise.features import NoisyFeatures, feature_noise, outliers, target_noise
from dataval.noise.labels import NoisyLabels, class_dependent_flips, flip_labels, pair_flips

__all__ = [
    "NoisyFeatures",
    "NoisyLabels",
    "NoisySamples",
    "backdoor_patch",
    "class_dependent_flips",
    "feature_noise",
    "flip_labels",
    "outliers",
    "pair_flips",
    "target_noise",
]
