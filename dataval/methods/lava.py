"""LAVA: how much a sample brings the training samples nearer to the validation samples, as distributions."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dataval.checks import one_of, real_number
from dataval.data import Samples
from dataval.errors import InvalidDataError, SolverWarning
from dataval.memory_plan import MemoryPlan, Need, available_memory
from dataval.methods.nearest import Distances
from dataval.methods.of_features import Features, FeatureValuator, Metric
from dataval.progress import progress_bar
from dataval.solvers.transport import Transport, exact_transport, sinkhorn
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["LAVA"]

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-6
_ARRAYS = 4  # of costs, that are alive at a time


class LAVA(FeatureValuator):
    r"""Minus the calibrated gradient of the transport distance between training and validation samples.

    .. math:: \mathrm{value}_j = -\Big(f_j - \frac{1}{N-1}\sum_{i\ne j} f_i\Big),\qquad
              C_{ji} = d(x_j, x_i) + c\,W(y_j, y_i)

    with f the potentials of the training samples in the optimal transport of mass 1/N each to mass
    1/n each of the validation samples, at the cost C; :math:`W(y, y')` is the transport distance between the
    training samples of label y and the validation samples of label y'. The bracket is the derivative of the
    distance when mass is moved from all other samples to sample j. Positive: more of such samples bring the
    training samples nearer to the validation samples. The unit is that of d, a mass of 1. No model is trained.

    It sees what is out of place among inputs and labels together, without any assumption on a model, and asks
    of distances that they mean something, as `KNNShapley` does, which finds wrong labels better as long as
    neighbours share theirs. It compares distributions, so there are no values for single validation samples.
    For labels only.

    Parameters
    ----------
    learner : Learner, optional
        Whose features ``"hidden"`` are, and what `verify` retrains; nothing else needs it.
    features, metric
        As for `KNNShapley`: the distance d.
    label_weight : float, default 1
        c, from 0: how much labels count beside inputs.
    solver : {"sinkhorn", "exact"}, default "sinkhorn"
        Sinkhorn's iteration with entropy, whose potentials are unique; or the linear program (HiGHS), for a few
        hundred samples, whose potentials are not where some of the masses sum to as much on both sides, as for
        N and n with a common divisor.
    regularization : float, default 0.02
        The weight of the entropy, as a share of the mean cost. Smaller: nearer to the linear program, slower.

    Attributes
    ----------
    run_ : TrainingRun or None
    diagnostics_ : dict
        ``"distance"``: the cost of the plan; ``"error"``: how much mass of 1 it puts wrong;
        ``"label_distances"``: W, shape (classes of training, classes of validation), in the labels' order.

    References
    ----------
    Just et al. (2023). LAVA: data valuation without pre-specified learning algorithms. ICLR.
    https://arxiv.org/abs/2305.00054

    Alvarez-Melis & Fusi (2020). Geometric dataset distances via optimal transport. NeurIPS, for W.

    Examples
    --------
    >>> values = dv.LAVA(learner, features="hidden").fit(X, y, run=run).score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        features: Features = "inputs",
        metric: Metric = "euclidean",
        label_weight: float = 1.0,
        solver: Literal["sinkhorn", "exact"] = "sinkhorn",
        regularization: float = 0.02,
    ) -> None:
        self.learner = learner
        self.features = features
        self.metric = metric
        self.label_weight = label_weight
        self.solver = solver
        self.regularization = regularization

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, as `FeatureValuator.fit`.

        Raises
        ------
        InvalidDataError
            If the targets are no labels, or there is a single sample.
        """
        real_number("label_weight", self.label_weight, minimum=0)
        one_of("solver", self.solver, ("sinkhorn", "exact"))
        if real_number("regularization", self.regularization, minimum=0) < 1e-4:
            raise ValueError(f"regularization must be at least 0.0001, got {self.regularization}")
        super().fit(X, y, run=run)
        if self._classes is None:
            raise InvalidDataError("LAVA needs labels as targets y")
        if len(self._data) < 2:
            raise InvalidDataError("LAVA needs at least two training samples X, to move mass between them")
        return self

    def _score(self, data: Samples, validation: Samples) -> FloatArray:
        targets = self._validation_targets(validation)
        costs = self._distances(validation)
        (own, known), (classes, given) = (np.unique(y, return_inverse=True) for y in (self._targets, targets))
        between = np.zeros((len(own), len(classes)))
        if self.label_weight:
            between = self._between(costs, known, given, between)
            costs += self.label_weight * between[known][:, given]
        found = self._transport(costs)
        if found.error > _TOLERANCE:
            warnings.warn(
                f"the transport of LAVA puts {found.error:.1g} of the mass wrong after {found.n_iterations} "
                "iterations: choose a larger regularization",
                SolverWarning,
                stacklevel=4,
            )
        self.diagnostics_ = {"distance": found.cost, "error": found.error, "label_distances": between}
        n = len(found.source)
        return -found.source * (n / (n - 1))  # their mean is 0

    def _distances(self, validation: Samples) -> FloatArray:
        vectors = self._validation_vectors(validation)
        blocks = Distances(self._vectors, self.metric).blocks(vectors)
        return np.concatenate([block.distances for block in blocks]).T.copy()

    def _between(
        self, distances: FloatArray, known: NDArray[np.intp], given: NDArray[np.intp], between: FloatArray
    ) -> FloatArray:
        """Return the distances between the samples of each pair of labels."""
        with progress_bar("comparing labels", between.size, self._progress) as bar:
            for own, other in np.ndindex(*between.shape):
                part = distances[known == own][:, given == other]
                between[own, other] = self._transport(part).cost
                bar.update()
        return between

    def _transport(self, costs: FloatArray) -> Transport:
        a, b = (np.full(n, 1 / n) for n in costs.shape)
        if self.solver == "exact":
            return exact_transport(costs, a, b)
        epsilon = self.regularization * float(costs.mean())
        if epsilon == 0:  # all are in one place
            return Transport(0.0, np.zeros(len(a)), np.zeros(len(b)))
        return sinkhorn(costs, a, b, epsilon, tolerance=_TOLERANCE)

    def _check_memory(self, source: Samples, n_val: int, call: str) -> None:
        n = len(source)
        cure = "ask about fewer validation samples: a part of them, drawn at random, has the same distribution"
        need = Need(f"{n} x {n_val} costs", 8 * _ARRAYS * n * n_val, cure)
        MemoryPlan.of(f"LAVA.{call}", [need], available_memory()).check()
