"""How wrong each sample's label looks, and what models that have not seen it would say instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataval.cli.samples import Samples
from dataval.detection.label_errors import LabelErrors
from dataval.training.learner import Learner

__all__ = ["Suspicion", "suspicion"]

FloatArray = npt.NDArray[np.float64]

_MODELS = "models that have not seen the labels"


@dataclass(frozen=True, eq=False)
class Suspicion:
    """What is thought of the labels of n samples.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        The lower, the more a label looks wrong.
    probability_wrong : ndarray of float64, shape (n,)
    outputs : ndarray of float64, shape (n, n_classes) or (n,)
        Probability of each class; or the number that is predicted, in the labels' unit.
    by : str
        What found it.
    """

    values: FloatArray
    probability_wrong: FloatArray
    outputs: FloatArray
    by: str


def suspicion(samples: Samples, seed: int, learner: Learner | None = None) -> Suspicion:
    """Judge labels by `LabelErrors`.

    Parameters
    ----------
    samples : Samples
        What is judged.
    seed : int
        Draws folds and models.
    learner : Learner, optional
        A network that classifies, for samples that are no table.
    """
    found = LabelErrors(learner, task="classification" if samples.classes else "regression", seed=seed)
    rows = samples.X.reshape(len(samples.X), -1) if learner is None else samples.X
    by = _MODELS if learner is None else f"a network and {_MODELS}"
    if samples.classes:
        found.fit(rows, samples.y)
        classes = np.asarray(found.probabilities_)
        return Suspicion(found.values_, found.probability_wrong_, classes, by)
    targets = samples.targets
    found.fit(rows, targets.y[:, 0])
    predicted = found.suggested_label_ * targets.scale + targets.center
    return Suspicion(found.values_, found.probability_wrong_, predicted, by)
