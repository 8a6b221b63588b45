"""The margin of what a classifier thought on average over its training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.data import Samples
from dataval.methods.of_run import RunValuator
from dataval.objectives.logits import check_classifier, margins, mean_probabilities
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay

__all__ = ["ProbabilityMargin"]

_SMALLEST = 1e-6


class ProbabilityMargin(RunValuator):
    r"""How much more probable than any other class the label was, on average over the epochs.

    .. math:: \mathrm{value}_j = \log\bar p_j(y_j) - \max_{c\ne y_j}\log\bar p_j(c), \qquad
              \bar p_j = \frac{1}{E}\sum_{e=1}^{E} \mathrm{softmax}\,z(x_j;\theta_{t(e,j)})

    with the logits z in evaluation mode, before the update t(e, j) of epoch e that saw the sample. Where
    errors go from class to class it finds more than `MeanLoss`, as a wrong label has one strong rival;
    probabilities are bounded, so that a late epoch that is very sure does not outweigh the others as it does in
    `AreaUnderMargin`. One forward replay of the run; nothing is differentiated. The validation set plays no
    part. NaN for a sample that was never seen.

    Parameters
    ----------
    learner : Learner
        Of a classifier: outputs ``(n, classes)``, or ``(n,)`` for two classes, and integer labels.

    Attributes
    ----------
    probabilities_ : ndarray of float64, shape (N, C)
        The means over the epochs; after `score`.

    Raises
    ------
    InvalidDataError
        From `fit`, if the model is no classifier.

    References
    ----------
    Pleiss, Zhang, Elenberg & Weinberger (2020). Identifying mislabeled data using the area under the margin
    ranking. NeurIPS.
    Swayamdipta et al. (2020). Dataset cartography: mapping and diagnosing datasets with training dynamics.
    EMNLP.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def _prepare(self, program: Program) -> None:
        check_classifier(program, type(self).__name__)

    def _score(self, replay: Replay, validation: Samples) -> NDArray[np.float64]:
        self.probabilities_ = mean_probabilities(replay, self.learner.progress)
        parts = [np.asarray(targets) for _, targets in replay.program.data.target_parts()]
        labels = np.concatenate(parts).reshape(-1).astype(np.int64)
        return margins(np.log(np.maximum(self.probabilities_, _SMALLEST)), labels)
