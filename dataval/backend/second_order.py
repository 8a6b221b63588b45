"""Whether a model's second derivatives are what differences of its gradients say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.contract import Backend
from dataval.backend.training_loss import Linearization
from dataval.errors import NotTwiceDifferentiableError

__all__ = ["STEPS", "check_gauss_newton", "check_second_order", "is_close", "missing_second_derivative"]

_ADVICE = "Replace it by one that can be differentiated twice, or use hessian=False"

FloatArray = NDArray[np.float64]
Linearize = Callable[..., Linearization]

# In float64, steps this short cross the kink of a ReLU or a tie of a max-pooling almost never, where both
# sides would be right and yet differ; a derivative that is really missing shows at every step. Rounding
# (1e-16) divided by the step leaves 1e-7 of a gradient's size. A model that exists in float32 only needs
# longer steps, which cross some kinks.
STEPS = {"float64": (1e-8, 4e-9, 2e-9), "float32": (3e-3, 1e-3, 3e-4)}
_TOLERANCE = {"float64": 1e-3, "float32": 0.2}
_ROUNDING = {"float64": 1e-5, "float32": 1e-2}


def check_second_order(backend: Backend, batch: Any) -> None:
    """Raise if the pullback of a loss contradicts differences of gradients, new buffers and losses.

    They are compared at parameters that are moved a little, as a model's own may be special: units with
    biases of 0 sit on the kink of a ReLU wherever their inputs are 0. And along directions that a run can
    take: what never gets a gradient, such as the row of an embedding's padding, never moves.

    Raises
    ------
    NotTwiceDifferentiableError
        Naming the layer, where it can be found.
    """
    judge, samples = backend.in_double(batch) or (backend, batch)
    point = _Point(judge, samples)
    if not any(point.agrees(step) for step in STEPS[judge.signature.dtype]):
        raise NotTwiceDifferentiableError(
            f"the second derivative of {_named(judge.blame(samples))} differs from the derivative of its "
            f"gradients: something is detached, or a gradient can't be differentiated. {_ADVICE}"
        )


def check_gauss_newton(backend: Backend, batch: Any) -> None:
    """Raise if the Gauss-Newton pullback of a loss contradicts differences of losses and buffers, or is 0.

    Differences say nothing of the product itself, as they hold what the outputs' own curvature adds.

    Raises
    ------
    InvalidModelError
        If the outputs are not one array.
    NotTwiceDifferentiableError
        Saying what is wrong.
    """
    judge, samples = backend.in_double(batch) or (backend, batch)
    point = _Point(judge, samples)
    if not any(point.agrees_to_first_order(step) for step in STEPS[judge.signature.dtype]):
        raise NotTwiceDifferentiableError(
            "derivatives of the samples' losses or of the buffers along a direction differ from their "
            f"differences: something is detached. {_ADVICE}"
        )
    if point.is_flat():
        raise NotTwiceDifferentiableError(
            "the loss has no second derivative in the model's outputs, or one that is 0, and so has the "
            "Gauss-Newton matrix: curvature='none' gives the same values for less"
        )


def missing_second_derivative(layer: str | None, error: Exception) -> NotTwiceDifferentiableError:
    """Return the error for a layer that a framework can't differentiate twice."""
    return NotTwiceDifferentiableError(f"{_named(layer)} has no second derivative ({error}). {_ADVICE}")


def _named(layer: str | None) -> str:
    return layer or "an operation in the model's forward pass or loss"


def is_close(found: NDArray[Any], expected: NDArray[Any], size: float, dtype: str) -> bool:
    """Whether arrays agree as far as the rounding of what was subtracted, of the given size, allows."""
    if not expected.size:
        return True
    slack = _ROUNDING[dtype] * size + _TOLERANCE[dtype] * float(np.abs(expected).max())
    return bool(np.abs(found - expected).max() <= slack)


class _Point:
    """Parameters near a model's own, and a direction to differentiate along."""

    def __init__(self, backend: Backend, batch: Any) -> None:
        self._backend, self._batch = backend, batch
        own, buffers = map(backend.arrays.to_numpy, backend.initial())
        self._parameters, self._buffers = 1.01 * own + 0.01 * _noise(own, 1), buffers
        self._weights = backend.arrays.from_numpy(np.ones(len(batch)))
        if not np.isfinite(self._gradient(0.0, 0.0 * own)[1]).all():
            self._parameters = own
        moves = self._gradient(0.0, 0.0 * own)[1] != 0
        self._direction, self._buffer_direction = _noise(own, 0) * moves, _noise(buffers, 2)

    def agrees(self, step: float) -> bool:
        """Whether derivatives and differences over a step agree."""
        direction = self._direction
        above, below = self._gradient(step, direction), self._gradient(-step, direction)
        losses, gradient, buffers = ((a - b) / (2 * step) for a, b in zip(above, below, strict=True))
        linearize = self._backend.loss.linearize
        product, slopes, _ = self._pull_back(linearize, direction, self._buffer_direction)
        alone = self._pull_back(linearize, direction, 0 * self._buffer_direction)[0]
        size = np.linalg.norm(above[1]) * np.linalg.norm(direction)
        curved = gradient @ direction + buffers @ self._buffer_direction
        return (
            self._is_close(slopes, losses, np.abs(above[0]).max())
            and self._is_close(product @ direction, curved, float(size))
            and self._pieces_are_close(alone * (direction != 0), gradient, np.abs(above[1]).max())
        )

    def agrees_to_first_order(self, step: float) -> bool:
        """Whether slopes of the Gauss-Newton pullback, and what flows through buffers, are differences."""
        direction, linearize = self._direction, self._backend.loss.linearize_gauss_newton
        above, below = self._gradient(step, direction), self._gradient(-step, direction)
        losses, buffers = ((above[i] - below[i]) / (2 * step) for i in (0, 2))
        slopes = self._pull_back(linearize, direction, 0 * self._buffer_direction)[1]
        through = self._pull_back(linearize, 0 * direction, self._buffer_direction)[0]
        size = np.linalg.norm(above[2]) * np.linalg.norm(self._buffer_direction)
        return self._is_close(slopes, losses, np.abs(above[0]).max()) and self._is_close(
            through @ direction, buffers @ self._buffer_direction, float(size)
        )

    def is_flat(self) -> bool:
        """Whether the Gauss-Newton product along the direction is 0."""
        linearize = self._backend.loss.linearize_gauss_newton
        return not self._pull_back(linearize, self._direction, 0 * self._buffer_direction)[0].any()

    def _pieces_are_close(self, found: FloatArray, expected: FloatArray, size: float) -> bool:
        """Compare the pieces of each parameter on its own scale."""
        sizes = [int(np.prod(shape)) for _, shape in self._backend.signature.parameters]
        overall = size + float(np.abs(expected).max())
        ends = np.cumsum(sizes)[:-1]
        pairs = zip(np.split(found, ends), np.split(expected, ends), strict=True)
        return all(self._is_close(f, e, overall) for f, e in pairs)

    def _is_close(self, found: Any, expected: Any, size: float) -> bool:
        return is_close(np.asarray(found), np.asarray(expected), size, self._backend.signature.dtype)

    def _gradient(self, shift: float, direction: FloatArray) -> list[FloatArray]:
        """Return losses, gradient and new buffers at shifted parameters."""
        found = self._backend.loss.gradient(*self._at(shift, direction), self._batch, self._weights, 0)
        return [self._backend.arrays.to_numpy(array).astype(np.float64) for array in found]

    def _pull_back(
        self, linearize: Linearize, vector: FloatArray, buffer_vector: FloatArray
    ) -> list[FloatArray]:
        arrays = self._backend.arrays
        linearization = linearize(*self._at(0.0, vector), self._batch, self._weights, 0)
        found = linearization.pullback(arrays.from_numpy(vector), arrays.from_numpy(buffer_vector))
        return [arrays.to_numpy(array).astype(np.float64) for array in found]

    def _at(self, shift: float, direction: FloatArray) -> tuple[Any, Any]:
        from_numpy = self._backend.arrays.from_numpy
        return from_numpy(self._parameters + shift * direction), from_numpy(self._buffers)


def _noise(like: NDArray[Any], seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=like.shape)
