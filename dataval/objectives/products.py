"""Inner products of validation gradients and training gradients at one state."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array
from dataval.backend.layers import compact
from dataval.objectives.training import TrainingSamples
from dataval.objectives.validation import ValidationObjective
from dataval.training.program import Program, State

__all__ = ["EachQuestion", "GradientQuestion", "MeanQuestion", "gradient_products"]

FloatArray = NDArray[np.float64]


def gradient_products(
    samples: TrainingSamples, objective: ValidationObjective, state: State, indices: NDArray[np.int64]
) -> FloatArray:
    r"""Return :math:`\langle\nabla F_k, \nabla\ell_j\rangle` for some validation and all training samples.

    Layers' inputs and output gradients are multiplied where that takes less than forming the gradients.

    Returns
    -------
    ndarray of float64, shape (K, N)
        NaN for training samples of weight 0 that have no finite gradient.

    Raises
    ------
    InvalidDataError
        If a gradient is not finite; the sample is named.
    """
    found = samples.products(objective.layer_gradients(state, indices))
    if np.isfinite(found).all():
        return found
    gradients = objective.gradients(state, indices)[0]
    return samples.slopes(samples.numpy(gradients))


class GradientQuestion(ABC):
    """One objective or K of them.

    Parameters
    ----------
    objective : ValidationObjective
    """

    def __init__(self, objective: ValidationObjective) -> None:
        self._objective = objective

    @abstractmethod
    def gradients(self, state: State) -> Array:
        """Return the gradients ``(K, P)``."""

    def products(self, samples: TrainingSamples, state: State, mask: float | FloatArray) -> FloatArray:
        """Return their products with the training samples' gradients, times a mask, ``(K, N)``."""
        return samples.slopes(mask * samples.numpy(self.gradients(state)))

    def slopes(self, program: Program, state: State, step: int) -> FloatArray:
        """Return their products with the gradients of an update's samples at its rates, ``(K, n)``."""
        return _slopes_at_rates(program, self.gradients(state), state, step)


class MeanQuestion(GradientQuestion):
    """The mean over the validation samples."""

    def gradients(self, state: State) -> Array:
        """Return the gradient ``(1, P)``."""
        return self._objective.gradient(state)[0][None]


class EachQuestion(GradientQuestion):
    """Some of the validation samples, each on its own.

    Parameters
    ----------
    objective : ValidationObjective
    indices : ndarray of int64
    """

    def __init__(self, objective: ValidationObjective, indices: NDArray[np.int64]) -> None:
        super().__init__(objective)
        self._indices = indices

    def gradients(self, state: State) -> Array:
        """Return the gradients ``(K, P)``."""
        return self._objective.gradients(state, self._indices)[0]

    def products(self, samples: TrainingSamples, state: State, mask: float | FloatArray) -> FloatArray:
        """Multiply layer by layer where all parameters count alike."""
        if isinstance(mask, float) and mask == 1.0:
            return gradient_products(samples, self._objective, state, self._indices)
        return super().products(samples, state, mask)

    def slopes(self, program: Program, state: State, step: int) -> FloatArray:
        """Multiply layer by layer where all parameters have one rate."""
        rates, backend = _rates(program, step), program.backend
        if isinstance(rates, float) and backend.loss.has_layers:
            blocks = compact(backend.arrays, self._objective.layer_gradients(state, self._indices))
            found = rates * backend.arrays.to_numpy(program.products(blocks, state, step)).astype(np.float64)
            if np.isfinite(found).all():
                return np.asarray(found)
        return super().slopes(program, state, step)


def _slopes_at_rates(program: Program, gradients: Array, state: State, step: int) -> FloatArray:
    """Return the slopes ``(K, n)`` along gradients, times the learning rates of an update."""
    rates = _rates(program, step)
    factor, along = (rates, gradients) if isinstance(rates, float) else (1.0, rates * gradients)
    slopes = program.backend.arrays.to_numpy(program.slopes(along, state, step)).astype(np.float64)
    return np.asarray(factor * slopes)


def _rates(program: Program, step: int) -> float | Array:
    return program.update.spread(program.plan.hyperparameters.learning_rates[step])
