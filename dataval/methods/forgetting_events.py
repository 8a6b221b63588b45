"""Forgetting events: how often a sample was classified rightly and then wrongly again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.methods.logs import check_log
from dataval.methods.of_run import RunValuator
from dataval.objectives.logits import batch_logits, check_classifier
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay

__all__ = ["ForgettingEvents"]


class ForgettingEvents(RunValuator):
    r"""Minus the number of times that training forgot a sample.

    .. math:: \mathrm{value}_j =
              -\sum_{e=2}^{E} \bigl[\hat y_j(e-1) = y_j \text{ and } \hat y_j(e) \ne y_j\bigr]

    with :math:`\hat y_j(e)` the predicted class in evaluation mode, before the update of epoch e that saw the
    sample. A sample that was never classified rightly counts as forgotten most: its value is -E, below all
    others. Samples with value 0 were learned once and for all.

    A ranking by counts, with many ties, which the validation set plays no part in. Made for finding samples
    that can be left out; for wrong labels `AreaUnderMargin` and `MeanLoss` are finer. NaN for a sample of
    weight 0 whose logits are not finite. Of a run of states alone, a sample counts as classified rightly where
    its logged margin is positive (``TrainingRun.from_checkpoints(..., margins=...)``); epochs that didn't see
    it are passed over, and it is NaN if none did.

    Parameters
    ----------
    learner : Learner
        Of a classifier: outputs ``(n, classes)``, or ``(n,)`` for two classes, and integer labels.

    Raises
    ------
    InvalidDataError
        From `fit`, if the model is no classifier.

    References
    ----------
    Toneva, Sordoni, des Combes, Trischler, Bengio & Gordon (2019). An empirical study of example forgetting
    during deep neural network learning. ICLR.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def _prepare(self, program: Program) -> None:
        check_classifier(program, type(self).__name__)

    def _check_run(self, replay: Replay) -> None:
        if replay.run.origin == "states":
            check_log(replay, "ForgettingEvents", "margins")
        else:
            replay.check_updates("ForgettingEvents")

    def _score(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        if replay.run.origin == "states":
            return _forgotten_in_log(replay.run.margins)
        plan = replay.run.plan
        events = np.zeros(plan.n_samples)
        was_right, was_ever_right = np.zeros((2, plan.n_samples), dtype=bool)
        for step, logits, labels in batch_logits(replay, self.learner.progress):
            batch = plan.batch(step)
            is_right = logits.argmax(axis=1) == labels
            events[batch] += np.where(np.isfinite(logits).all(axis=1), was_right[batch] & ~is_right, np.nan)
            was_right[batch] = is_right
            was_ever_right[batch] |= is_right
        return np.where(was_ever_right | np.isnan(events), -events, -float(len(replay.run.losses)))


def _forgotten_in_log(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of logged margins ``(E, N)``."""
    n_samples = margins.shape[1]
    events = np.zeros(n_samples)
    was_right, was_ever_right = np.zeros((2, n_samples), dtype=bool)
    for row in margins:
        is_right = np.where(np.isnan(row), was_right, row > 0)
        events += was_right & ~is_right
        was_right = is_right
        was_ever_right |= is_right
    values = np.where(was_ever_right, -events, -float(len(margins)))
    return np.where(np.isnan(margins).all(axis=0), np.nan, values)
