"""Building a backend on a model of the zoo, and comparing results."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataval.backend.contract import Backend
from dataval.backend.registry import find_backend
from dataval.data import Data, as_data
from tests.zoo.data import samples_for

SEED = 7
N = 5


class Case:
    """A backend with a batch, and random points, directions and weights for it."""

    def __init__(self, backend: Backend, data: Data) -> None:
        self.backend, self.data = backend, data
        self.batch = backend.batches(data).take(np.arange(len(data)))
        self.rng = np.random.default_rng(1)
        self.parameters, self.buffers = backend.initial()
        self.P, self.S, self.n = len(self.parameters), len(self.buffers), len(data)

    def draw(self, *shape: int) -> Any:
        return self.backend.from_numpy(self.rng.normal(size=shape))

    def weights(self, *lead: int) -> Any:
        return self.backend.from_numpy(self.rng.uniform(0.5, 1.5, (*lead, self.n)))

    def array(self, values: NDArray) -> Any:
        return self.backend.from_numpy(values)

    def numpy(self, array: Any) -> NDArray:
        return self.backend.to_numpy(array)

    def moved(self, direction: Any, by: float) -> Any:
        return self.array(self.numpy(self.parameters) + by * self.numpy(direction))

    def losses(self, parameters: Any) -> NDArray:
        return self.numpy(self.backend.losses(parameters, self.buffers, self.batch, SEED))

    def gradient(self, parameters: Any, weights: Any, buffers: Any = None) -> tuple[NDArray, NDArray, NDArray]:
        buffers = self.buffers if buffers is None else buffers
        found = self.backend.gradient(parameters, buffers, self.batch, weights, SEED)
        return tuple(map(self.numpy, found))


def make_backend(model: Any, X: Any, y: ArrayLike, loss: Any = "cross_entropy", **options: Any) -> Backend:
    settings = {"device": "cpu", "params": None, "seed": 0} | options
    data = as_data(X, np.asarray(y))
    return find_backend(model).create(model, loss, example=data.take(slice(0, 4)), **settings)


def make_case(model: Any, X: Any, y: ArrayLike, loss: Any = "cross_entropy", **options: Any) -> Case:
    return Case(make_backend(model, X, y, loss, **options), as_data(X, np.asarray(y)))


def zoo_case(zoo: Any, name: str, n: int = N, dtype: str = "float64", **options: Any) -> Case:
    samples = samples_for(name, n)
    if options:
        return make_case(getattr(zoo, name)(dtype), samples.X, samples.y, **options)
    return Case(_zoo_backend(zoo, name, n, dtype), as_data(samples.X, samples.y))


@cache
def _zoo_backend(zoo: Any, name: str, n: int, dtype: str) -> Backend:
    """Return a backend that tests share, as compiling takes longer than computing; it keeps no state."""
    samples = samples_for(name, n)
    return make_backend(getattr(zoo, name)(dtype), samples.X, samples.y)


def central(function: Any, step: float = 1e-4) -> NDArray:
    """Fourth-order central difference in a shift: truncation step**4 = 1e-16, rounding 1e-16 / step = 1e-12."""
    inner = function(step) - function(-step)
    outer = function(2 * step) - function(-2 * step)
    return (8 * inner - outer) / (12 * step)


def assert_near(found: NDArray, expected: NDArray, tolerance: float) -> None:
    """Compare relative to the largest expected entry."""
    assert found.shape == expected.shape
    if not expected.size:
        return
    error = np.abs(found - expected).max()
    scale = np.abs(expected).max()
    assert error <= tolerance * scale, f"largest error {error:.2e}, largest entry {scale:.2e}"
