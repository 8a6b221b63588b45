"""KNN-Shapley: the exact Shapley values of a nearest-neighbour classifier or regressor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described, flag, whole_number
from dataval.errors import InvalidDataError
from dataval.methods.knn_games import regression_values, vote_values
from dataval.methods.nearest import Block
from dataval.methods.neighbours import NeighbourValuator
from dataval.methods.of_features import Features, Metric
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["KNNShapley"]

FloatArray = NDArray[np.float64]


class KNNShapley(NeighbourValuator):
    r"""Exact Shapley values of a k-nearest-neighbour model, in O(N log N) a validation sample.

    .. math:: \mathrm{value}_j = \sum_{S\not\ni j}\frac{u(S\cup j) - u(S)}{N\binom{N-1}{|S|}},\qquad
              u(S) = \frac1k\sum_{i\le\min(k,|S|)} \omega_{\alpha_i(S)}\,[y_{\alpha_i(S)} = y]

    with :math:`\alpha_i(S)` the i-th nearest member of S and :math:`\omega = 1`: the share of right votes. No
    subset is formed: the values follow from each other from the farthest sample to the nearest. Positive: the
    sample helps neighbours to the right label. **The unit is not that of a loss but a probability**, that of
    the right label. Rows of `attribute` sum to u(all), whose mean is in ``diagnostics_``.

    With targets that are no labels u is minus a squared error, in the unit of the squared target,
    :math:`u(S) = -\big(y - \bar y - \frac1k\sum_i \omega_{\alpha_i}(y_{\alpha_i} - \bar y)\big)^2`, where
    :math:`\bar y` is the mean of the training targets, which is what nobody predicts (Jia et al. have 0 there);
    rows sum to u(all) - u(nobody). Targets are labels where they are whole numbers, or where the learner's loss
    is a classifier's.

    It finds wrong labels at the cost of a matrix product, if neighbours share their label: on raw pixels of
    simple images, on tables whose columns have one scale, on features of a network (``"hidden"``, or any
    embedding). It says nothing of a model that is no nearest-neighbour model: choose `HyDRA` for that; and
    `DataOOB` for tables of mixed columns, where distances mean little.

    Parameters
    ----------
    learner : Learner, optional
        Whose features ``"hidden"`` are, and what `verify` retrains; nothing else needs it.
    k : int, default 10
        Number of neighbours.
    features : {"inputs", "hidden"} or callable, default "inputs"
        All numbers of the inputs; what the learner's last, dense layer is given at the end of training; or a
        function of NumPy inputs (some samples at a time) that returns ``(n, ...)``.
    metric : {"euclidean", "cosine"}, default "euclidean"
        Of equally near samples the one that comes first counts as nearer.
    weights : "gaussian" or callable, optional
        :math:`\omega`, of the distance: :math:`\exp(-d^2/2d_k^2)` with :math:`d_k` the distance of the k-th of
        all training samples; or a function of distances ``(B, N)``, nearest first, that returns as many
        weights from 0. Each depends on its own sample's distance alone, and is not divided by the sum of those
        that vote: that keeps the values exact at the same cost. Where it is divided, the best exact algorithms
        known take O(N^k), or O(N^2) for votes with rounded weights (Wang et al. 2024).
    soft : bool, default False
        Divide the votes by the number of neighbours that S has, min(k, \|S\|), in place of k; nobody is worth
        1 / number of classes (Wang & Jia 2023). For labels without `weights` only.

    Attributes
    ----------
    run_ : TrainingRun or None
    diagnostics_ : dict
        ``"utility"``: the mean utility of all training samples.

    References
    ----------
    Jia et al. (2019). Efficient task-specific data valuation for nearest neighbor algorithms. VLDB.
    https://arxiv.org/abs/1908.08619

    Wang & Jia (2023). A note on "Efficient task-specific data valuation for nearest neighbor algorithms".
    https://arxiv.org/abs/2304.04258

    Wang, Mittal & Jia (2024). Efficient data Shapley for weighted nearest neighbor algorithms. AISTATS.
    https://arxiv.org/abs/2401.11103

    Examples
    --------
    >>> values = dv.KNNShapley(k=10).fit(X, y).score(X_val, y_val)
    >>> values = dv.KNNShapley(learner, features="hidden").fit(X, y, run=run).score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        k: int = 10,
        features: Features = "inputs",
        metric: Metric = "euclidean",
        weights: Literal["gaussian"] | Callable[[FloatArray], Any] | None = None,
        soft: bool = False,
    ) -> None:
        self.learner = learner
        self.k = k
        self.features = features
        self.metric = metric
        self.weights = weights
        self.soft = soft

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, as `FeatureValuator.fit`.

        Raises
        ------
        ValueError
            If `soft` is asked for with `weights`.
        """
        whole_number("k", self.k, minimum=1)
        if self.weights is not None and self.weights != "gaussian" and not callable(self.weights):
            raise TypeError(
                f"weights must be None, 'gaussian' or a function of distances, got {described(self.weights)}"
            )
        if flag("soft", self.soft) and self.weights is not None:
            raise ValueError("soft=True divides votes that are all the same: leave weights out")
        super().fit(X, y, run=run)
        if self.soft and self._classes is None:
            raise InvalidDataError("soft=True is for labels, and the targets y are none: leave it out")
        return self

    def _block(self, block: Block, targets: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        ordered = self._targets[block.order]
        if self._classes is None:
            mean = self._targets.mean()
            gains = self._weighted(block, ordered - mean)
            errors = gains[:, : self.k].sum(axis=1) / self.k - (targets - mean)
            return regression_values(gains, targets - mean, self.k), -(errors**2)
        gains = self._weighted(block, (ordered == targets[:, None]).astype(np.float64))
        most = min(self.k, gains.shape[1]) if self.soft else self.k
        chance = 1 / len(self._classes) if self.soft else None
        return vote_values(gains, self.k, chance), gains[:, : self.k].sum(axis=1) / most

    def _weighted(self, block: Block, gains: FloatArray) -> FloatArray:
        if self.weights is None:
            return gains
        distances = block.sorted_distances
        if not callable(self.weights):
            return gains * _gaussian(distances, self.k)
        found = np.asarray(self.weights(distances))
        if found.shape != distances.shape or found.dtype.kind not in "biuf":
            raise ValueError(
                f"weights must return one number for each of the distances {distances.shape}, got "
                f"{described(found)}"
            )
        if not (np.isfinite(found).all() and (found >= 0).all()):
            raise ValueError("weights returned numbers that are negative or not finite")
        return np.asarray(gains * found)


def _gaussian(distances: FloatArray, k: int) -> FloatArray:
    """Return weights that fall with the distance, by half of its square in units of the k-th neighbour's."""
    width = distances[:, min(k, distances.shape[1]) - 1, None]
    relative = distances / np.where(width == 0, 1.0, width)
    return np.where(width == 0, distances == 0, np.exp(-(relative**2) / 2))
