"""EL2N: the size of a classifier's error on a sample early in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.methods.early_epoch import check_epoch, check_epoch_of_run, state_after
from dataval.methods.of_states import States, StateValuator
from dataval.objectives.logits import check_classifier, logits_at, probabilities
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay

__all__ = ["EL2N"]


class EL2N(StateValuator):
    r"""Minus the norm of a sample's error vector after a few epochs.

    .. math:: \mathrm{value}_j = -\lVert p(x_j;\theta) - \mathrm{onehot}(y_j)\rVert_2

    with p the predicted probabilities in evaluation mode; it lies in :math:`[-\sqrt 2, 0]`. The paper averages
    over several runs: so can you, over the values of learners with other seeds.

    A ranking without the loss's unit, which the validation set plays no part in. Large errors mark hard
    samples as well as wrong labels, and one early state tells them apart less well than the whole run: see
    `MeanLoss` and `AreaUnderMargin`.

    Parameters
    ----------
    learner : Learner
        Of a classifier: outputs ``(n, classes)``, or ``(n,)`` for two classes, and integer labels.
    epoch : int, optional
        After how many epochs, from 0 (the initialisation). A tenth of them by default, and at least one. Of a
        run of states alone, the number of a state from 1; it must be given where there is only one.

    Raises
    ------
    InvalidDataError
        From `fit`, if the model is no classifier.
    ValueError
        From `fit`, if the run has no such epoch.

    References
    ----------
    Paul, Ganguli & Dziugaite (2021). Deep learning on a data diet: finding important examples early in
    training. NeurIPS.
    """

    def __init__(self, learner: Learner, *, epoch: int | None = None) -> None:
        self.learner = learner
        self.epoch = epoch

    def _prepare(self, program: Program) -> None:
        check_epoch(self.epoch, program.training)
        check_classifier(program, type(self).__name__)

    def _check_run(self, replay: Replay) -> None:
        check_epoch_of_run(self.epoch, replay, "EL2N")

    def _score(self, states: States, validation: Samples) -> NDArray[np.float64]:
        logits, labels = logits_at(states.program, state_after(states, self.epoch))
        errors = probabilities(logits)
        errors[np.arange(len(labels)), labels] -= 1.0
        return np.asarray(-np.linalg.norm(errors, axis=1))
