"""What a model's last layer is given: its own features of samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.backend.layers import LinearGradients
from dataval.data import Samples
from dataval.errors import InvalidModelError
from dataval.objectives.sample_gradients import ObjectiveGradients
from dataval.training.faults import name_samples
from dataval.training.program import Program, State

__all__ = ["hidden_features"]

FloatArray = NDArray[np.float64]

_CHUNK_SIZE = 500


def hidden_features(program: Program, state: State, data: Samples) -> FloatArray:
    """Return the inputs ``(n, d)`` of the layer that has the last parameters, in evaluation mode.

    They are read off the layer-by-layer gradients, which every backend gives, so that no model has to name
    its layers.

    Parameters
    ----------
    program : Program
        Whose model it is.
    state : State
        Its parameters.
    data : Samples
        The samples.

    Raises
    ------
    InvalidModelError
        If that layer is no dense one that a sample passes once, or a number is not finite.
    """
    gradients = ObjectiveGradients(program.backend, data)
    starts = range(0, len(data), _CHUNK_SIZE)
    found = [_inputs(program, gradients, state, np.arange(i, min(len(data), i + _CHUNK_SIZE))) for i in starts]
    features = np.concatenate(found)
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise InvalidModelError(
            f"{name_samples(bad)}: a feature in the model's last hidden layer is not finite"
        )
    return features


def _inputs(
    program: Program, gradients: ObjectiveGradients, state: State, chunk: NDArray[np.int64]
) -> FloatArray:
    blocks = gradients.at(state, chunk)
    last = max(blocks, key=lambda block: max(start for start, _ in block.spans))
    if not isinstance(last, LinearGradients) or last.inputs.shape[1:3] != (1, 1):
        raise InvalidModelError(
            f"features='hidden' are the inputs of a dense last layer, and the last parameters are those of "
            f"{last.name}: pass features, a function of the inputs, instead"
        )
    inputs = program.backend.arrays.to_numpy(last.inputs[:, 0, 0])
    return np.asarray(inputs, dtype=np.float64)
