"""A backend with a batch, and random points, directions and weights for it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataval.backend import Array, Backend
from dataval.data import Samples, as_data

__all__ = ["SEED", "Case", "make_backend", "make_case"]

SEED = 7
"""Of the random draws of every forward pass in training mode."""

_N_EXAMPLES = 4


class Case:
    """What the conformance tests are run on.

    Cases draw random numbers one after another: make a new one for every test. The backend may be shared.

    Parameters
    ----------
    backend : Backend
        Of a classifier in float64 with the loss ``"cross_entropy"``, whose outputs are ``(n, classes)``.
    data : Samples
        A few samples, at least 5: all of them are the batch.
    """

    def __init__(self, backend: Backend, data: Samples) -> None:
        self.backend, self.data = backend, data
        self.batch = backend.batches(data).take(np.arange(len(data)))
        self.rng = np.random.default_rng(1)
        self.parameters, self.buffers = backend.initial()
        self.P, self.S, self.n = len(self.parameters), len(self.buffers), len(data)

    @property
    def at(self) -> tuple[Array, Array, Any]:
        """The model's own parameters and buffers, and the batch."""
        return self.parameters, self.buffers, self.batch

    def array(self, values: ArrayLike) -> Array:
        """Return an array of the backend."""
        return self.backend.arrays.from_numpy(np.asarray(values))

    def numpy(self, array: Array) -> NDArray[Any]:
        """Return a NumPy array."""
        return self.backend.arrays.to_numpy(array)

    def draw(self, *shape: int) -> Array:
        """Return normal draws."""
        return self.array(self.rng.normal(size=shape))

    def weights(self, *lead: int) -> Array:
        """Return weights of the batch's samples around 1, ``(*lead, n)``."""
        return self.array(self.rng.uniform(0.5, 1.5, (*lead, self.n)))

    def moved(self, direction: Array, by: float, start: Array | None = None) -> Array:
        """Return parameters that are moved along a direction, from the model's own by default."""
        origin = self.numpy(self.parameters if start is None else start)
        return self.array(origin + by * self.numpy(direction))

    def losses(self, parameters: Array, seed: int = SEED) -> NDArray[Any]:
        """Return the losses ``(n,)`` in training mode."""
        return self.numpy(self.backend.loss.losses(parameters, self.buffers, self.batch, seed))

    def gradient(
        self, parameters: Array, weights: Array, buffers: Array | None = None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return losses, gradient and new buffers in training mode."""
        buffers = self.buffers if buffers is None else buffers
        found = self.backend.loss.gradient(parameters, buffers, self.batch, weights, SEED)
        return cast("tuple[NDArray[Any], NDArray[Any], NDArray[Any]]", tuple(map(self.numpy, found)))

    def rows(self) -> NDArray[Any]:
        """Return the gradients ``(n, P)`` of the losses in training mode."""
        return self.numpy(self.backend.loss.rows(*self.at, SEED))

    def pullback(
        self,
        weights: Array,
        vectors: Array,
        buffer_vectors: Array | None = None,
        *,
        gauss_newton: bool = False,
    ) -> list[NDArray[Any]]:
        """Linearize, and pull cotangents back; those of the buffers are 0 by default."""
        if buffer_vectors is None:
            buffer_vectors = self.array(np.zeros((*vectors.shape[:-1], self.S)))
        loss = self.backend.loss
        linearize = loss.linearize_gauss_newton if gauss_newton else loss.linearize
        linearization = linearize(*self.at, weights, SEED)
        return [self.numpy(bar) for bar in linearization.pullback(vectors, buffer_vectors)]


def make_backend(
    backend: type[Backend], model: Any, X: Any, y: ArrayLike, loss: Any = "cross_entropy", **options: Any
) -> Backend:
    """Make a backend of a model as a learner does.

    Parameters
    ----------
    backend : type of Backend
        The class to be tested.
    model
        One that it handles.
    X, y
        Samples; the first few are its example.
    loss : str, NamedLoss or callable, default "cross_entropy"
        What is trained.
    **options
        Of `Backend.create`: device, params, seed, build.
    """
    settings = {"device": "cpu", "params": None, "seed": 0} | options
    example = as_data(X, y).take(slice(0, _N_EXAMPLES))
    return backend.create(model, loss, example=example, **cast("dict[str, Any]", settings))


def make_case(
    backend: type[Backend], model: Any, X: Any, y: ArrayLike, loss: Any = "cross_entropy", **options: Any
) -> Case:
    """Make a backend of a model with all samples as one batch; parameters as of `make_backend`."""
    return Case(make_backend(backend, model, X, y, loss, **options), as_data(X, y))
