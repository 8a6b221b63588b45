"""GraNd: the size of a sample's gradient early in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.methods.early_epoch import check_epoch, check_epoch_of_run, state_after
from dataval.methods.of_states import States, StateValuator
from dataval.objectives.training import TrainingSamples
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay

__all__ = ["GraNd"]


class GraNd(StateValuator):
    r"""Minus the norm of a sample's gradient after a few epochs.

    .. math:: \mathrm{value}_j = -\lVert\nabla\ell_j(\theta)\rVert_2

    in evaluation mode. It bounds how far one update can move any other sample's loss. The paper averages over
    several runs: so can you, over the values of learners with other seeds. Needs the gradient of every sample.

    A ranking in the unit of gradients, which the validation set plays no part in: large gradients may help or
    hurt. Choose `HyDRA` for the direction, `MeanLoss` for wrong labels.

    Parameters
    ----------
    learner : Learner
    epoch : int, optional
        After how many epochs, from 0 (the initialisation). A tenth of them by default, and at least one. Of a
        run of states alone, the number of a state from 1; it must be given where there is only one.

    Raises
    ------
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

    def _check_run(self, replay: Replay) -> None:
        check_epoch_of_run(self.epoch, replay, "GraNd")

    def _score(self, states: States, validation: Samples) -> NDArray[np.float64]:
        samples = TrainingSamples(states.program, state_after(states, self.epoch))
        return -np.sqrt(samples.squared_norms())
