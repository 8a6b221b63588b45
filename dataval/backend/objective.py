"""The contract of an objective: a function of outputs and targets in evaluation mode, and its derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from dataval.backend.arrays import Array, Arrays
from dataval.backend.layers import LayerGradients, plain_gradients

__all__ = ["Objective", "ObjectiveFunction"]

ObjectiveFunction = Callable[[Any, Any], Any]
"""A function of (outputs, targets), in the model's framework, giving one number a sample ``(n,)``, or one."""

_ROW_BYTES = 2**28  # that per-sample gradients may take at a time


class Objective(ABC):
    """A function of a model's outputs and targets in evaluation mode, sample by sample, and its derivatives.

    Parameters
    ----------
    arrays : Arrays
    """

    row_bytes: int = _ROW_BYTES

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    @abstractmethod
    def values(self, parameters: Array, buffers: Array, batch: Any) -> Array:
        """Return the objective of every sample ``(n,)``; shape ``()`` where the function gives one number.

        With a leading axis of K on parameters and buffers, the result has it too.
        """

    @abstractmethod
    def rows(self, parameters: Array, buffers: Array, batch: Any) -> tuple[Array, Array]:
        """Return the gradients ``(n, P)`` and ``(n, S)`` of every sample's objective."""

    @abstractmethod
    def hessian_products(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, vectors: Array
    ) -> Array:
        """Return ``sum_j weights_j Hess(objective_j) vector`` in the parameters, ``(P,)`` or ``(K, P)``.

        Raises
        ------
        NotTwiceDifferentiableError
            If a layer has no second derivative; the message names it.
        """

    @abstractmethod
    def gauss_newton_products(
        self, parameters: Array, buffers: Array, batch: Any, weights: Array, vectors: Array
    ) -> Array:
        """Return ``sum_j weights_j J_j' H_j J_j vector``, positive semidefinite where the objective is convex.

        ``J_j`` is the Jacobian of sample j's outputs and ``H_j`` the Hessian of its objective in them.
        `vectors` and the result are ``(P,)`` or ``(K, P)``.

        Raises
        ------
        InvalidModelError
            If the model returns anything but one array.
        """

    def layer_gradients(
        self, parameters: Array, buffers: Array, batch: Any, cotangents: Array | None = None
    ) -> Sequence[LayerGradients]:
        """Return the gradients of the samples' objectives in the parameters, layer by layer.

        What no layer is known for is `PlainGradients`, by default everything.

        Parameters
        ----------
        parameters, buffers, batch
            As for `rows`.
        cotangents : array, optional
            Of the model's outputs, of their shape ``(n, ...)``: the gradients are then those of their inner
            products with the outputs, sample by sample.

        Raises
        ------
        NotImplementedError
            If the backend takes no cotangents.
        InvalidModelError
            With cotangents, if the model returns anything but one array.
        """
        if cotangents is not None:
            raise NotImplementedError(f"{type(self).__name__} pulls no cotangents of outputs back to layers")
        return plain_gradients(self.rows(parameters, buffers, batch)[0])

    def gradient(self, parameters: Array, buffers: Array, batch: Any) -> tuple[Array, Array]:
        """Return the gradients ``(P,)`` and ``(S,)`` of the objective summed over the batch."""
        rows, buffer_rows = self.rows(parameters, buffers, batch)
        return rows.sum(0), buffer_rows.sum(0)

    def slopes(self, parameters: Array, buffers: Array, batch: Any, vectors: Array) -> Array:
        """Return the slopes ``<vector, grad objective_j>``, ``(n,)`` along one vector or ``(K, n)`` along K."""
        if vectors.ndim == 1:
            return self.slopes(parameters, buffers, batch, vectors[None])[0]
        return self.arrays.outer(vectors, self.rows(parameters, buffers, batch)[0])
