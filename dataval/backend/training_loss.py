"""The contract of a training loss: the losses of a batch in training mode, and their derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, compact, gradient_of, plain_gradients, slopes_along

__all__ = ["FirstOrder", "Linearization", "TrainingLoss"]

Pullback = Callable[[Array, Array], tuple[Array, Array, Array]]

_FEW_VECTORS = 3  # fewer directional derivatives than this cost less than per-sample gradients
_FEW_IN_COUPLED = 1 / 3  # of the batch: there every sample's gradient takes a pass back through the whole batch
_ROW_BYTES = 2**28  # that per-sample gradients may take at a time


class Linearization:
    """The gradient of a weighted batch loss, and the pullback of the map that yields it.

    Parameters
    ----------
    gradient : array, shape (P,), or callable
        ``sum_j weights_j * grad loss_j``; or a function that finds it, for a backend whose pullback
        doesn't need it: not every optimizer's does.
    pullback : callable
        ``pullback(vectors, buffer_vectors)`` takes cotangents ``(P,)`` of the gradient and ``(S,)`` of the
        buffers after the forward pass, and returns those of its arguments: parameters ``(P,)`` (the
        Hessian-vector product, plus what flows through the buffers), weights ``(n,)`` (the per-sample
        slopes ``<vector, grad loss_j>``) and buffers ``(S,)``. With a leading axis of K cotangents, all
        three results have it too. It may be called once.
    """

    def __init__(self, gradient: Array | Callable[[], Array], pullback: Pullback) -> None:
        self._gradient = gradient
        self.pullback = pullback

    @property
    def gradient(self) -> Array:
        """The gradient ``(P,)``."""
        if callable(self._gradient):
            self._gradient = self._gradient()
        return self._gradient


@dataclass(frozen=True)
class FirstOrder:
    """The gradient of a weighted batch loss, and the slopes of its samples from the same pass.

    Attributes
    ----------
    gradient : array, shape (P,)
        ``sum_j weights_j * grad loss_j``.
    slopes : callable
        Takes vectors ``(P,)`` or ``(K, P)`` and returns ``<vector, grad loss_j>``, ``(n,)`` or ``(K, n)``.
    """

    gradient: Array
    slopes: Callable[[Array], Array]


class TrainingLoss(ABC):
    """The per-sample losses of a batch in training mode, and their derivatives.

    The forward pass sees the batch as a whole: a sample's loss may depend on its neighbours.

    Parameters
    ----------
    arrays : Arrays
    """

    row_bytes: int = _ROW_BYTES
    """Memory that per-sample gradients may take at a time where slopes are found from them."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    @abstractmethod
    def gradient(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> tuple[Array, Array, Array]:
        """Return losses ``(n,)``, the weighted loss's gradient ``(P,)`` and the new buffers ``(S,)``.

        With a leading axis of K on parameters, buffers and weights, all results have it; the batch and the seed
        are shared.
        """

    @abstractmethod
    def rows(
        self, parameters: Array, buffers: Array, batch: Any, seed: int, part: slice | None = None
    ) -> Array:
        """Return the gradients ``(n, P)`` of the losses of the samples in `part` of the batch (all by default).

        The forward pass sees the whole batch whatever `part` says, so that the result doesn't depend on how
        the rows are split.
        """

    @abstractmethod
    def linearize(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> Linearization:
        """Return the weighted loss's gradient and its pullback.

        Raises
        ------
        NotTwiceDifferentiableError
            If a layer has no second derivative; the message names it.
        """

    @abstractmethod
    def linearize_gauss_newton(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> Linearization:
        r"""Return what `linearize` does, with the Gauss-Newton matrix in place of the Hessian.

        With outputs :math:`o(\theta, b)` of the whole batch, a cotangent u of the gradient comes back as
        :math:`J^\top D J_\theta u`: J is the outputs' Jacobian in parameters or buffers, and D the Hessian of
        :math:`\sum_j w_j\ell_j` in the outputs. Slopes, and what flows through new buffers, are exact.

        Raises
        ------
        InvalidModelError
            If the outputs are not one array.
        NotTwiceDifferentiableError
            If the loss has no second derivative in the outputs.
        """

    @property
    def has_layers(self) -> bool:
        """Whether `layer_gradients` knows layers, at the cost of about one gradient."""
        return False

    def layer_gradients(
        self, parameters: Array, buffers: Array, batch: Any, seed: int
    ) -> Sequence[LayerGradients]:
        """Return the gradients of the samples' losses, layer by layer; together they are `rows`.

        What no layer is known for is `PlainGradients`, by default everything.
        """
        return plain_gradients(self.rows(parameters, buffers, batch, seed))

    def first_order(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, seed: int
    ) -> FirstOrder:
        """Return the weighted loss's gradient, and the slopes along vectors that may depend on it.

        Where layers are known, one pass serves both.
        """
        if not self.has_layers:
            gradient = self.gradient(parameters, buffers, batch, weights, seed)[1]
            return FirstOrder(gradient, lambda vectors: self.slopes(parameters, buffers, batch, vectors, seed))
        blocks = compact(self.arrays, self.layer_gradients(parameters, buffers, batch, seed))
        return FirstOrder(gradient_of(self.arrays, blocks, weights), partial(slopes_along, self.arrays, blocks))

    def losses(self, parameters: Array, buffers: Array, batch: Any, seed: int) -> Array:
        """Return the losses ``(n,)``."""
        weights = self.arrays.from_numpy(np.ones(len(batch)))
        return self.gradient(parameters, buffers, batch, weights, seed)[0]

    @property
    def is_coupled(self) -> bool:
        """Whether samples can't be run one by one, as the batch's statistics or random numbers join them."""
        return False

    def slopes(self, parameters: Array, buffers: Array, batch: Any, vectors: Array, seed: int) -> Array:
        """Return the slopes ``<vector, grad loss_j>``, ``(n,)`` along one vector or ``(K, n)`` along K.

        Along one vector, or few, these are directional derivatives of the whole batch; along many, inner
        products with its gradients by layer, or with those of some samples at a time.
        """
        if vectors.ndim == 1:
            return self.slope(parameters, buffers, batch, vectors, seed)
        if len(vectors) > 1 and self.has_layers:
            blocks = self.layer_gradients(parameters, buffers, batch, seed)
            return slopes_along(self.arrays, blocks, vectors)
        n_few = max(_FEW_VECTORS, int(_FEW_IN_COUPLED * len(batch)) if self.is_coupled else 0)
        if len(vectors) <= n_few:
            return self.arrays.stack([self.slope(parameters, buffers, batch, v, seed) for v in vectors])
        parts = _slices(len(batch), self.row_bytes, parameters)
        return self.arrays.concatenate(
            [self.arrays.outer(vectors, self.rows(parameters, buffers, batch, seed, part)) for part in parts]
        )

    def slope(self, parameters: Array, buffers: Array, batch: Any, vector: Array, seed: int) -> Array:
        """Return the slopes ``(n,)`` along one vector."""
        return self.arrays.outer(vector[None], self.rows(parameters, buffers, batch, seed))[0]


def _slices(n: int, row_bytes: int, parameters: Array) -> Iterator[slice]:
    """Split n rows of the parameters' length so that each part stays within a memory budget."""
    size = max(1, row_bytes // (8 * max(1, len(parameters))))
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))
