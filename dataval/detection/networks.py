"""What a user's own network, and untrained copies of it, say of its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.registry import framework_settings
from dataval.errors import InvalidDataError, InvalidModelError, RunMismatchError
from dataval.labels.kernel import standardised
from dataval.methods.features import FeatureFunction, features_of
from dataval.methods.mean_loss import MeanLoss
from dataval.methods.untrained import first_layers
from dataval.objectives.logits import check_classifier, mean_probabilities
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["Trained", "trained"]

FloatArray = NDArray[np.float64]

_COPIES = 2


@dataclass(frozen=True)
class Trained:
    """What came of training.

    Attributes
    ----------
    run : TrainingRun
    losses : ndarray, shape (N,)
        The samples' mean losses over the epochs; the median where one is unknown.
    probabilities : ndarray, shape (N, C), or None
        Of a classifier's classes, the mean over the epochs; None where its updates can't be done again.
    views : list of ndarray, each (N, d)
        Standardised: features of untrained copies for images and other inputs of several axes; the inputs
        themselves where there is one axis, or copies can't serve.
    """

    run: TrainingRun
    losses: FloatArray
    probabilities: FloatArray | None
    views: list[FloatArray]

    @property
    def is_of_copies(self) -> bool:
        """Whether the views are of untrained copies."""
        return len(self.views) > 1


@framework_settings()
def trained(
    learner: Learner,
    X: Any,
    y: Any,
    run: TrainingRun | None,
    *,
    features: FeatureFunction | None,
    is_classifier: bool,
    seed: int,
) -> Trained:
    """Train a learner, or adopt its run, and look at the samples.

    Raises
    ------
    InvalidDataError, InvalidModelError, RunMismatchError
        As `dataval.MeanLoss`.
    """
    method = MeanLoss(learner).fit(X, y, run=run)
    replay = method._replay
    losses = -method._score(replay, replay.program.data)
    known = np.isfinite(losses)
    losses = np.where(known, losses, np.median(losses[known]) if known.any() else 0.0)
    found = _probabilities(replay, learner.progress) if is_classifier else None
    return Trained(method.run_, losses, found, _views(replay.program, features, seed))


def _probabilities(replay: Replay, progress: bool | None) -> FloatArray | None:
    try:
        replay.check_updates()
        check_classifier(replay.program, "LabelErrors")
    except (
        RunMismatchError,
        InvalidDataError,
    ):  # states alone, or no classifier of single labels: losses serve
        return None
    found = mean_probabilities(replay, progress)
    return np.where(np.isfinite(found), found, 1.0 / found.shape[1])


def _views(program: Program, features: FeatureFunction | None, seed: int) -> list[FloatArray]:
    data = program.data
    axes = max(len(form.shape) for name, form in data.form().items() if name.startswith("X"))
    if features is None and axes > 1:
        try:
            return [standardised(first_layers(program, seed + copy)) for copy in range(_COPIES)]
        except InvalidModelError:  # a network whose layers aren't known: its inputs serve
            pass
    return [standardised(features_of(data, features))]
