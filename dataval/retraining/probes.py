"""What a model does, in a few numbers that tell it from others of the same name and the same parameters.

Models may differ where no parameter shows it: in their code, in frozen parameters and constants, in evaluation
mode only, in the gradient only. So a model is asked what it gives at the start of a run and at parameters that
were moved a little and far, in training mode on the first batch, in evaluation mode on samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Backend
from dataval.data import Samples
from dataval.training.program import State
from dataval.training.replay import Replay

__all__ = ["probes"]

_MOVES = ((1.0, 0.0), (1.0, 0.2), (2.0, 1.0))  # what the start is multiplied by, and noise in units of its size
_CHUNK = 500
_FEW = 1000  # samples at moved parameters
_N_PROJECTIONS = 3
_DIGITS = {"float64": 1e-9, "float32": 1e-4}  # another machine's rounding is a hundredth of that or less


def probes(replay: Replay, validation: Samples) -> list[str]:
    """Return what the model of a run gives for its own samples and for validation samples.

    Each number is a random projection, relative to the norm of what is projected, in steps of what another
    machine's rounding stays well below.
    """
    backend = replay.program.backend
    return [_projected(array, backend.arrays.dtype) for array in _answers(replay, validation)]


def _answers(replay: Replay, validation: Samples) -> Iterator[NDArray[Any]]:
    backend, data = replay.program.backend, (replay.program.data, validation)
    for i, (factor, noise) in enumerate(_MOVES):
        state = _moved(backend, replay.initial, factor, noise)
        yield from _training_mode(replay, state)
        for samples in data:
            yield from _evaluation_mode(backend, state, samples, len(samples) if i == 0 else _FEW)


def _moved(backend: Backend, state: State, factor: float, noise: float) -> State:
    start = backend.arrays.to_numpy(state.parameters).astype(np.float64)
    size = np.sqrt(np.mean(start**2)) or 1.0
    moved = factor * start + noise * size * np.random.default_rng(0).standard_normal(start.shape)
    return State(backend.arrays.from_numpy(moved), (), state.buffers)


def _training_mode(replay: Replay, state: State) -> list[NDArray[Any]]:
    """Return losses, gradient and new buffers of the first batch, each sample at a weight of its own."""
    program, arrays = replay.program, replay.program.backend.arrays
    batch = program.plan.samples(0)
    weights = arrays.from_numpy(np.linspace(0.5, 1.5, len(batch)))
    found = program.backend.loss.gradient(
        state.parameters, state.buffers, program.passes.batch(0), weights, program.passes.seed(0)
    )
    return [arrays.to_numpy(array) for array in found]


def _evaluation_mode(backend: Backend, state: State, data: Samples, n: int) -> Iterator[NDArray[Any]]:
    batches = backend.batches(data)
    n = min(n, len(data))
    for start in range(0, n, _CHUNK):
        batch = batches.take(np.arange(start, min(n, start + _CHUNK)))
        for leaf in _leaves(backend.predict(state.parameters, state.buffers, batch)):
            yield backend.arrays.to_numpy(leaf)


def _leaves(outputs: Any) -> Iterator[Array]:
    """Yield the arrays of what a model returned."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if not isinstance(outputs, list | tuple):
        yield outputs
        return
    for part in outputs:
        yield from _leaves(part)


def _projected(array: NDArray[Any], dtype: str) -> str:
    values = array.astype(np.float64).ravel()
    finite = np.isfinite(values)
    values = np.where(finite, values, 0.0)
    norm = float(np.linalg.norm(values))
    if norm == 0:
        return f"{array.shape} {int(finite.sum())} 0"
    rows = np.random.default_rng(1).standard_normal((_N_PROJECTIONS, len(values)))
    step = _DIGITS.get(dtype, 1e-2)
    steps = np.round(rows @ (values / norm) / step).astype(np.int64)
    size = round(np.log(norm) / step)
    return f"{array.shape} {int(finite.sum())} {size} {steps.tolist()}"
