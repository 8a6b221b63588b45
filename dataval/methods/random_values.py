"""Random values, the floor of every comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.data import Data
from dataval.methods.base import DataValuator
from dataval.training.learner import Learner
from dataval.training.replay import Replay

__all__ = ["RandomValues"]


class RandomValues(DataValuator):
    """Standard normal values that know nothing.

    Whatever another method is measured by, this is what chance gives. Values have no unit.

    Parameters
    ----------
    learner : Learner
    seed : int, default 0
    """

    def __init__(self, learner: Learner, *, seed: int = 0) -> None:
        self.learner = learner
        self.seed = seed

    def _score(self, replay: Replay, validation: Data) -> NDArray[np.float64]:
        return np.random.default_rng(self.seed).standard_normal(replay.run.n_samples)

    def _attribute(self, replay: Replay, validation: Data) -> NDArray[np.float64]:
        row = self._score(replay, validation)
        return np.tile(row, (len(validation), 1))
