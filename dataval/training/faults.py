"""Numbers that are not finite: which sample is to blame, and where.

Two kinds look alike from afar. A run that diverges grows until it overflows, and a smaller learning rate helps.
A 0/0, a root or a logarithm at 0 in a single sample makes its loss or gradient NaN at once, among neighbours
that are finite, and no learning rate helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Arrays
from dataval.errors import InvalidDataError, TrainingDivergedError
from dataval.training.program import Program, State
from dataval.training.run import TrainingRun

__all__ = ["check_finite", "curvature_fault", "diverged", "is_finite", "name_samples", "spoilt_samples"]

_GROWN = 1e4
_LOOK = (
    "look for a division by 0, a root or a logarithm at 0 in the model or the loss, or leave it out (weight 0)"
)


def is_finite(arrays: Arrays, *found: Array) -> bool:
    """Whether all entries of a backend's arrays are finite; one number a row is read back where they are."""
    return all(
        np.isfinite(arrays.to_numpy(arrays.inner(array, array))).all()
        or bool(np.isfinite(arrays.to_numpy(array)).all())  # the squares may overflow
        for array in found
        if 0 not in tuple(array.shape)
    )


def check_finite(
    found: NDArray[Any], samples: NDArray[np.int64], weights: NDArray[np.float64], what: str
) -> None:
    """Raise if numbers ``(..., n)`` about training samples are not finite where a sample has a weight.

    Parameters
    ----------
    found : ndarray, shape (..., n)
        Numbers of the samples.
    samples : ndarray of int64, shape (n,)
        Their indices among all.
    weights : ndarray of float64, shape (N,)
        Of all. A sample of weight 0 is left out, and may have no derivative.
    what : str
        What the numbers come from, such as "the gradient of its loss at update 3".

    Raises
    ------
    InvalidDataError
        Naming the first such sample.
    """
    bad = spoilt_samples(found, samples, weights)
    if len(bad):
        raise InvalidDataError(f"training {name_samples(bad)}: {what} is not finite: {_LOOK}")


def spoilt_samples(
    found: NDArray[Any], samples: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the indices of the samples with a weight whose numbers ``(..., n)`` are not all finite."""
    if np.isfinite(found).all():
        return samples[:0]
    is_bad = ~np.isfinite(found).reshape(-1, found.shape[-1]).all(axis=0)
    return np.asarray(samples[is_bad & (weights[samples] != 0)])


def name_samples(samples: Iterable[int]) -> str:
    """Return "sample 3", or "sample 3 (and 2 more)"."""
    first, *others = samples
    return f"sample {first}" + (f" (and {len(others)} more)" if others else "")


def diverged(program: Program, run: TrainingRun, last: int) -> Exception:
    """Return the error for a run whose numbers are no longer finite.

    The updates since the last kept state that is finite are done again, up to the first that isn't.

    Parameters
    ----------
    program : Program
        What was trained.
    run : TrainingRun
        Its own run, as far as it came.
    last : int
        The update whose losses were not finite; the number of updates where only the last state wasn't.
    """
    arrays, plan = program.backend.arrays, program.plan
    kept = {step: program.load(state) for step, state in run.checkpoints.items() if step <= last}
    start = max((step for step, state in kept.items() if is_finite(arrays, *state.arrays())), default=0)
    state = kept[start]
    for step in range(start, min(last + 1, plan.n_steps)):
        after, losses = program.step(state, step)
        found = arrays.to_numpy(losses)
        bad = spoilt_samples(found, plan.batch(step), program.weights)
        if len(bad) or not is_finite(arrays, after.parameters, after.buffers):
            grown = _size(program, state, step) > _GROWN * _size(program, kept[0], 0)
            return _explained(program, state, step, found, grown)
        state = after
    return TrainingDivergedError(f"the run is not finite at update {last} of {plan.n_steps}, but a replay is")


def _explained(
    program: Program, state: State, step: int, losses: NDArray[Any], grown: bool
) -> TrainingDivergedError:
    """Return the error for the first update that isn't finite."""
    batch, weights, n_steps = program.plan.batch(step), program.weights, program.plan.n_steps
    kind, bad = "loss", spoilt_samples(losses, batch, weights)
    what = f"the training loss became {losses[~np.isfinite(losses)][0]}" if len(bad) else ""
    if not len(bad) and not grown:
        kind, bad = "gradient of the loss", _without_gradient(program, state, step)
    where = f"at update {step} of {n_steps}"
    is_of_all = len(bad) == (weights[batch] != 0).sum() > 1
    if len(bad) and not grown and not is_of_all:
        return TrainingDivergedError(
            f"the {kind} of training {name_samples(bad)} is not finite {where}, although the parameters are "
            f"and nothing had grown: {_LOOK}"
        )
    return TrainingDivergedError(
        f"{what or 'the parameters became infinite or nan'} {where}: use a smaller learning rate, warm-up or "
        "clip_norm"
        + (
            ""
            if grown
            else "; or, as nothing had grown before, look for a division by 0, a root or a logarithm"
        )
    )


def _size(program: Program, state: State, step: int) -> float:
    """Return the size of the parameters or the finite losses, whichever is larger, and at least 1."""
    to_numpy = program.backend.arrays.to_numpy
    losses = np.abs(to_numpy(program.losses(state, step)))
    sizes = [np.abs(to_numpy(state.parameters)).max(), *losses[np.isfinite(losses)], 1.0]
    return float(max(sizes))


def _without_gradient(program: Program, state: State, step: int) -> NDArray[np.int64]:
    """Return the samples of a batch whose losses have no finite gradient."""
    seed = _seed(program, step)

    def gradient(twice: Any, weights: Array) -> Array:
        at = state.parameters, state.buffers, twice, weights, seed
        return program.backend.loss.gradient(*at)[1]

    return _one_by_one(program, step, gradient)


def curvature_fault(program: Program, state: State, step: int) -> NDArray[np.int64]:
    """Return the samples of a batch whose losses have no finite second derivative."""
    arrays = program.backend.arrays
    vector = arrays.from_numpy(np.random.default_rng(0).standard_normal(len(state.parameters)))
    no_buffers, seed = arrays.from_numpy(np.zeros(len(state.buffers))), _seed(program, step)

    def product(twice: Any, weights: Array) -> Array:
        at = state.parameters, state.buffers, twice, weights, seed
        return program.backend.loss.linearize(*at).pullback(vector, no_buffers)[0]

    return _one_by_one(program, step, product)


def _seed(program: Program, step: int) -> int:
    return program.passes.seed(program.plan.passes(step)[0])


def _one_by_one(program: Program, step: int, find: Callable[[Any, Array], Array]) -> NDArray[np.int64]:
    """Return the samples of a batch, of those with a weight, for which something isn't finite.

    Each is looked at on its own, twice in a batch for the sake of batch normalisation: in its neighbours'
    company what is infinite for one becomes NaN for all.
    """
    arrays, batch = program.backend.arrays, program.plan.batch(step)
    ones = arrays.from_numpy(np.ones(2))
    bad = [
        sample
        for sample in batch[program.weights[batch] != 0]
        if not is_finite(arrays, find(program.batches.take(np.array([sample, sample])), ones))
    ]
    return np.array(bad, dtype=np.int64)
