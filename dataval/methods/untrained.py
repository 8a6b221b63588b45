r"""What the first layers of a network make of its inputs before any training.

Of a copy whose matrices are drawn anew with variance 2 / (inputs of an output), and whose biases are 0, what
counts is what reaches the second layer that has a matrix: of a convolutional network the first convolution, its
activation and its pooling. Random filters see shapes where pixels see positions, and labels play no part in
them.

He, Zhang, Ren & Sun (2015). Delving deep into rectifiers. ICCV.
Saxe, Koh, Chen, Bhand, Suresh & Ng (2011). On random weights and unsupervised feature learning. ICML.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.arrays import Array
from dataval.backend.layers import LinearGradients
from dataval.backend.objective import Objective
from dataval.errors import InvalidModelError
from dataval.training.program import Program

__all__ = ["first_layers"]

FloatArray = NDArray[np.float64]

_PART = 64
_FEW = 2
_MOST = 4096  # numbers a sample; more are sampled at random, which keeps distances


def first_layers(program: Program, seed: int) -> FloatArray:
    """Return what reaches the second layer of an untrained copy, shape ``(N, d)``.

    Parameters
    ----------
    program : Program
        Its model is only looked at.
    seed : int
        Draws the copy.

    Raises
    ------
    InvalidModelError
        If no second layer that multiplies by a matrix is known of the network.
    """
    backend, data = program.backend, program.data
    objective = backend.objective()
    batches = backend.batches(data)
    rng = np.random.default_rng(seed)
    own, buffers = backend.initial()
    few = _matrices(objective, own, buffers, batches.take(np.arange(min(_FEW, len(data)))))
    if len(few) < 2:
        raise _unusable("no second layer of it is known that multiplies by a matrix")
    parameters = _redrawn(program, own, few, rng)
    size = int(np.prod(few[1].inputs.shape[1:]))
    chosen = np.sort(rng.permutation(size)[:_MOST])
    found = []
    for start in range(0, len(data), _PART):
        indices = np.arange(start, min(len(data), start + _PART))
        second = _matrices(objective, parameters, buffers, batches.take(indices))[1]
        rows = backend.arrays.to_numpy(second.inputs).reshape(len(indices), -1)
        found.append(rows[:, chosen].astype(np.float64))
    return np.concatenate(found)


def _matrices(objective: Objective, parameters: Array, buffers: Array, batch: Any) -> list[LinearGradients]:
    """Return the layers that multiply by a matrix, in the order of their parameters."""
    blocks = objective.layer_gradients(parameters, buffers, batch)
    found = [block for block in blocks if isinstance(block, LinearGradients) and block.spans]
    return sorted(found, key=lambda block: block.spans[0][0])


def _redrawn(program: Program, own: Array, layers: list[LinearGradients], rng: np.random.Generator) -> Array:
    arrays = program.backend.arrays
    parameters = arrays.to_numpy(own).copy()
    for layer in layers:
        _, n_groups, n_outputs, n_inputs = layer.shape
        if layer.weight is not None:
            size = n_groups * n_outputs * n_inputs
            drawn = rng.normal(scale=(2.0 / n_inputs) ** 0.5, size=size)
            parameters[layer.weight : layer.weight + size] = drawn
        if layer.bias is not None:
            parameters[layer.bias : layer.bias + n_groups * n_outputs] = 0.0
    return arrays.from_numpy(parameters)


def _unusable(why: str) -> InvalidModelError:
    return InvalidModelError(
        f"the first layers of an untrained copy of the network can't serve as features: {why}. Leave features "
        "out, for the inputs themselves, or give a function of the inputs"
    )
