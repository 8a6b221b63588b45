"""The mean loss of a sample over the epochs: a baseline that is hard to beat at finding wrong labels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.methods.logs import check_log, mean_loss_values
from dataval.methods.of_run import RunValuator
from dataval.training.learner import Learner
from dataval.training.replay import Replay

__all__ = ["MeanLoss"]


class MeanLoss(RunValuator):
    r"""Minus a sample's mean training loss over the epochs.

    .. math:: \mathrm{value}_j = -\frac{1}{E}\sum_{e=1}^{E} \ell_j(\theta_{t(e, j)})

    with :math:`t(e, j)` the update of epoch e that saw the sample (in training mode, before the update).
    The losses come free with a run, and mislabelled samples have high ones. The validation set plays no
    part, so this says which samples are hard or wrong, not what they do to the model: choose `HyDRA` for that.
    The unit is that of the training loss; a sample of weight 0 whose loss was never finite has the value NaN.
    `score` gives the same answer for any validation set. Of a run of states alone, the losses are those that
    were logged: ``TrainingRun.from_checkpoints(..., losses=...)``.

    Parameters
    ----------
    learner : Learner

    References
    ----------
    Pleiss, Zhang, Elenberg & Weinberger (2020). Identifying mislabeled data using the area under the margin
    ranking. NeurIPS, compare it as a baseline.
    """

    needs_updates: ClassVar[bool] = False

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def _check_run(self, replay: Replay) -> None:
        check_log(replay, "MeanLoss", "losses")

    def _score(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        return mean_loss_values(replay.run)
