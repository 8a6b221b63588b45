r"""The objective whose minimum a run seeks, its curvature, and the slopes of its samples.

Averaged over an epoch, the updates of a run follow the gradient of

.. math:: G(\theta) = s\sum_j w_j\,\ell_j(\theta) + \frac{\lambda}{2}\lVert\theta\rVert^2

with :math:`\lambda` the coupled weight decay and :math:`s = 1/N` where the batches of an epoch are full (with
a short last batch, which weight decay sees like any other, s is 1 over the number of updates in an epoch times
the batch size).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.objectives.training import CurvatureKind, TrainingSamples
from dataval.training.program import Program

__all__ = ["Curvature", "coupled_decay", "sample_scale"]

FloatArray = NDArray[np.float64]


class Curvature:
    r"""The matrix :math:`s\sum_j w_j C_j + (\lambda + \text{damping}) I`, as products with vectors.

    Parameters
    ----------
    samples : TrainingSamples
    program : Program
        Gives the weights, the scale s and the coupled weight decay.
    kind : {"hessian", "gauss_newton"}
        What :math:`C_j` is of sample j's loss.
    damping : float
    tick : callable, optional
        Called after every product with the number of vectors.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        program: Program,
        kind: CurvatureKind,
        damping: float,
        tick: Callable[[int], Any] | None = None,
    ) -> None:
        self._samples, self._kind = samples, kind
        self._weights = program.weights * sample_scale(program)
        self._diagonal = coupled_decay(program) + damping
        self.tick = tick
        self.size = samples.n_parameters

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Return the products of vectors ``(K, P)``."""
        products = self._samples.weighted_product(self._kind, self._weights, vectors)
        if self.tick is not None:
            self.tick(len(vectors))
        return products + self._diagonal * vectors

    def fisher_diagonal(self) -> FloatArray:
        r"""Return :math:`s\sum_j w_j (\nabla\ell_j)^2` plus the diagonal terms, shape ``(P,)``."""
        total = np.full(self.size, self._diagonal)
        rows = max(1, 2**25 // self.size)
        for every in self._samples.chunks():
            chunk = every[self._weights[every] != 0]
            for start in range(0, len(chunk), rows):
                part = chunk[start : start + rows]
                total += self._weights[part] @ self._samples.gradients(part) ** 2
        return total


def coupled_decay(program: Program) -> float | FloatArray:
    """Return the weight decay of the last update that is part of a gradient; ``(P,)`` where groups differ."""
    hyperparameters = program.plan.hyperparameters
    if program.training.optimizer.is_decoupled or "weight_decay" not in hyperparameters.values:
        return 0.0
    decays = hyperparameters.values["weight_decay"][-1]
    if (decays == decays[0]).all():
        return float(decays[0])
    return np.repeat(decays[hyperparameters.groups], program.update.sizes)


def sample_scale(program: Program) -> float:
    """Return the factor s of a sample's loss in the objective that the run minimises, on average."""
    plan = program.plan
    return float(plan.coefficients.sum()) / (plan.n_samples * plan.n_steps)
