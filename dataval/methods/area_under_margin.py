"""The area under the margin: how clearly a sample's label won over the other classes during training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.methods.logs import check_log
from dataval.methods.of_run import RunValuator
from dataval.objectives.logits import batch_logits, check_classifier, margins
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay

__all__ = ["AreaUnderMargin"]


class AreaUnderMargin(RunValuator):
    r"""A sample's mean margin over the epochs.

    .. math:: \mathrm{value}_j = \frac{1}{E}\sum_{e=1}^{E}
              \Bigl(z_{y_j}(\theta_{t(e,j)}) - \max_{c\ne y_j} z_c(\theta_{t(e,j)})\Bigr)

    with z the logits of the sample in evaluation mode, before the update t(e, j) of epoch e that saw it. Low
    where the neighbours of a sample pull its prediction away from its label: wrong or ambiguous labels. One
    forward replay of the run; nothing is differentiated.

    A ranking in the unit of logits, which the validation set plays no part in: it says which labels look
    wrong, not what a sample does to the model. Choose `HyDRA` for that, and `MeanLoss` where the model is no
    classifier. Of a run of states alone, the margins are those that were logged
    (``TrainingRun.from_checkpoints(..., margins=...)``), and NaN of a sample that none was logged of.

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
    Pleiss, Zhang, Elenberg & Weinberger (2020). Identifying mislabeled data using the area under the margin
    ranking. NeurIPS.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def _prepare(self, program: Program) -> None:
        check_classifier(program, type(self).__name__)

    def _check_run(self, replay: Replay) -> None:
        if replay.run.origin == "states":
            check_log(replay, "AreaUnderMargin", "margins")
        else:
            replay.check_updates("AreaUnderMargin")

    def _score(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        plan = replay.run.plan
        if replay.run.origin == "states":
            return _mean_of_log(replay.run.margins)
        total, seen = np.zeros(plan.n_samples), np.zeros(plan.n_samples)
        for step, logits, labels in batch_logits(replay, self.learner.progress):
            total[plan.batch(step)] += margins(logits, labels)
            seen[plan.batch(step)] += 1
        return total / np.maximum(1, seen)


def _mean_of_log(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    seen = np.isfinite(margins)
    total = np.where(seen, margins, 0.0).sum(axis=0)
    return np.where(seen.any(axis=0), total / np.maximum(1, seen.sum(axis=0)), np.nan)
