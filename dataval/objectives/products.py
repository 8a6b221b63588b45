"""Inner products of validation gradients and training gradients at one state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.objectives.training import TrainingSamples
from dataval.objectives.validation import ValidationObjective
from dataval.training.program import State

__all__ = ["gradient_products"]


def gradient_products(
    samples: TrainingSamples, objective: ValidationObjective, state: State, indices: NDArray[np.int64]
) -> NDArray[np.float64]:
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
