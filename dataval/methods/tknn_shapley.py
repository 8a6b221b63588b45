"""TKNN-Shapley: the Shapley values of a classifier by all neighbours within a threshold."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dataval.checks import real_number
from dataval.errors import InvalidDataError
from dataval.methods.knn_games import mean_values
from dataval.methods.nearest import Block, Distances
from dataval.methods.neighbours import NeighbourValuator
from dataval.methods.of_features import Features, Metric
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["TKNNShapley"]

FloatArray = NDArray[np.float64]

_RANK = 10  # of the neighbour at whose distance the threshold lies by default
_ASKED = 500  # training samples that are asked how far it is


class TKNNShapley(NeighbourValuator):
    r"""Exact Shapley values of a classifier in which all samples within a threshold vote, in O(N).

    .. math:: u(S) = \frac{1}{|S_\tau|}\sum_{j\in S_\tau}[y_j = y],\qquad
              S_\tau = \{j\in S : d(x_j, x)\le\tau\},\qquad u(\text{nobody}) = \frac{1}{C}

    with C classes. With n samples within the threshold, of which a share :math:`\bar f_{-j}` beside j is of the
    right label, and :math:`H_n = \sum_{i\le n} 1/i`,

    .. math:: \mathrm{value}_j = \frac{f_j - 1/C}{n} + \frac{(f_j - \bar f_{-j})\,(H_n - 1)}{n},\qquad
              f_j = [y_j = y]

    and 0 for samples beyond it: of what is far from all validation samples it says that it knows nothing,
    where `KNNShapley` still ranks. Nothing is sorted, and a value depends on counts alone. The unit is the
    probability of the right label; positive: the sample helps. For labels only. Prefer `KNNShapley` where
    distances differ much from region to region, as one threshold then fits none of them.

    Parameters
    ----------
    learner : Learner, optional
        Whose features ``"hidden"`` are, and what `verify` retrains; nothing else needs it.
    threshold : float, optional
        The largest distance at which a sample votes, from 0, in the unit of the metric. By default the distance
        at which training samples have their tenth neighbour, in the median of (at most 500 of) them.
    features, metric
        As for `KNNShapley`.

    Attributes
    ----------
    run_ : TrainingRun or None
    diagnostics_ : dict
        ``"utility"``: the mean utility of all training samples; ``"threshold"``; ``"unanswered"``: how many
        validation samples no training sample is near.

    References
    ----------
    Wang, Zhu, Wang, Jia & Mittal (2023). Threshold KNN-Shapley: a linear-time and privacy-friendly approach to
    data valuation. NeurIPS. https://arxiv.org/abs/2308.15709

    Examples
    --------
    >>> values = dv.TKNNShapley(metric="cosine").fit(X, y).score(X_val, y_val)
    """

    _is_sorted = False

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        threshold: float | None = None,
        features: Features = "inputs",
        metric: Metric = "euclidean",
    ) -> None:
        self.learner = learner
        self.threshold = threshold
        self.features = features
        self.metric = metric

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, as `FeatureValuator.fit`.

        Raises
        ------
        InvalidDataError
            If the targets are no labels.
        """
        if self.threshold is not None:
            real_number("threshold", self.threshold, minimum=0)
        super().fit(X, y, run=run)
        if self._classes is None:
            raise InvalidDataError("TKNNShapley needs labels as targets y: choose KNNShapley for a regression")
        return self

    def _begin(self, distances: Distances) -> dict[str, Any]:
        found = self.threshold
        threshold = _usual_distance(distances, self._vectors) if found is None else float(found)
        return {"threshold": threshold, "unanswered": 0}

    def _block(self, block: Block, targets: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        assert self._classes is not None
        chance = 1 / len(self._classes)
        gains = (self._targets == targets[:, None]).astype(np.float64)
        near = block.distances <= self.diagnostics_["threshold"]
        n_near = near.sum(axis=1)
        self.diagnostics_["unanswered"] += int((n_near == 0).sum())
        right = (gains * near).sum(axis=1)
        utilities = np.where(n_near == 0, chance, right / np.maximum(n_near, 1))
        return mean_values(gains, near, chance), utilities


def _usual_distance(distances: Distances, vectors: FloatArray) -> float:
    n = len(vectors)
    asked = np.unique(np.linspace(0, n - 1, min(n, _ASKED)).astype(np.int64))
    rank = min(_RANK, n - 1)  # rank 0 is the sample itself
    found = [block.sorted_distances[:, rank] for block in distances.blocks(vectors[asked])]
    return float(np.median(np.concatenate(found)))
