"""Random values, the floor of every comparison."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dataval.checks import whole_number
from dataval.data import Samples
from dataval.methods.of_data import DataOnlyValuator
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["RandomValues"]


class RandomValues(DataOnlyValuator):
    """Standard normal values that know nothing.

    Whatever another method is measured by, this is what chance gives. Values have no unit. Nothing is trained.

    Parameters
    ----------
    learner : Learner, optional
        What `verify` retrains; nothing else needs it.
    seed : int, default 0
    """

    def __init__(self, learner: Learner | None = None, *, seed: int = 0) -> None:
        self.learner = learner
        self.seed = seed

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, as `DataOnlyValuator.fit`."""
        whole_number("seed", self.seed, minimum=0)
        return super().fit(X, y, run=run)

    def _score(self, data: Samples, validation: Samples) -> NDArray[np.float64]:
        return np.random.default_rng(self.seed).standard_normal(len(data))

    def _attribute(self, data: Samples, validation: Samples) -> NDArray[np.float64]:
        return np.tile(self._score(data, validation), (len(validation), 1))
