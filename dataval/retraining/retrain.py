"""Training again under other sample weights, many runs at once, or really without some samples."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from dataval.data import Data
from dataval.objectives.utility import StateFunction
from dataval.progress import progress_bar
from dataval.retraining.ensemble import advance, make_ensemble
from dataval.retraining.store import Store
from dataval.training.plan import make_plan
from dataval.training.program import Program, State
from dataval.training.replay import Replay
from dataval.training.run import state_bytes

__all__ = ["retrain", "retrain_without", "retraining_key"]

_STATE_BYTES = 2**29
_COPIES = 8  # states, gradients and temporaries that are alive at a time while a group trains
_ACTIVATION_BYTES = 2**27  # more leaves the caches of a processor, which costs more than a larger group gains
_PASSES = 2  # activations are alive together with their gradients
_MAX_GROUP = 256


def retrain(
    program: Program,
    start: State,
    weights: NDArray[np.float64],
    utility: StateFunction,
    *,
    key: str,
    n_jobs: int = 1,
    group_size: int | None = None,
    folder: Path | None = None,
    progress: bool | None = None,
) -> NDArray[np.float64]:
    """Train from the same start, with the same batches and seeds, under each of M weight vectors.

    Parameters
    ----------
    program : Program
        What is trained. Runs that have the program's own weights so far are trained as one.
    start : State
        The state before the first update.
    weights : ndarray of float64, shape (M, N)
        One weight vector a run.
    utility : StateFunction
        Evaluated at the end of each run: a utility, or several in one array.
    key : str
        Tells this program, start and utility from others in `folder`.
    n_jobs : int, default 1
        Processes.
    group_size : int, optional
        Runs trained at once; from the size of the model's state by default.
    folder : path, optional
        Where finished results are kept and looked up; several processes may share it, see `Store`.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    ndarray of float64, shape (M, ...)
        The utility at the end of each run, with the axes that it gives.

    Raises
    ------
    ValueError
        If `group_size` is not positive or `n_jobs` is 0.
    """
    if group_size is not None and group_size < 1:
        raise ValueError(f"group_size must be at least 1, got {group_size}")
    size = group_size or _choose_group_size(program)
    work = _Work(key, n_jobs, folder, progress)
    return work.do(weights, size, lambda rows: delayed(_train)(program, start, rows, utility))


def retrain_without(
    program: Program,
    start: State,
    removed: NDArray[np.bool_],
    utility: StateFunction,
    *,
    key: str,
    n_jobs: int = 1,
    folder: Path | None = None,
    progress: bool | None = None,
) -> NDArray[np.float64]:
    """Train from the same start on the data really without some samples, once for each of M removals.

    The batches are those that the training configuration and its seed give for so many samples, so they are
    others than in the program's own run, and there may be fewer updates; the divisor stays `batch_size`.

    Parameters
    ----------
    program, start
        As for `retrain`; the kept samples keep the program's weights.
    removed : ndarray of bool, shape (M, N)
        Which samples each run is without.
    utility, key, n_jobs, folder, progress
        As for `retrain`.

    Returns
    -------
    ndarray of float64, shape (M, ...)

    Raises
    ------
    InvalidDataError
        If fewer samples are left than a batch needs.
    ValueError
        If `n_jobs` is 0.
    """
    work = _Work(f"{key}-removal-{_digest(program.weights)}", n_jobs, folder, progress)
    return work.do(removed, 1, lambda rows: delayed(_train)(_without(program, rows[0]), start, None, utility))


def retraining_key(replay: Replay, validation: Data, *parts: str) -> str:
    """Return a name for everything that decides the result of retraining besides the weights.

    Functions and models of the same name are told apart by the losses that they gave at the start.

    Parameters
    ----------
    replay : Replay
        What is trained, and from where; its run need not have been carried out.
    validation : Data
        What is measured on.
    *parts : str
        What is measured.
    """
    program, to_numpy = replay.program, replay.program.backend.arrays.to_numpy
    start = b"".join(to_numpy(array).tobytes() for array in replay.initial.arrays())
    first = to_numpy(program.losses(replay.initial, 0)).astype(np.float64).mean()
    described = [
        replay.run.data_fingerprint,
        validation.fingerprint(),
        program.training.model_dump_json(),
        replay.run.loss,
        repr(replay.run.signature),
        hashlib.blake2b(start, digest_size=16).hexdigest(),
        f"{first:.6e}",
        *parts,
    ]
    return hashlib.blake2b("|".join(described).encode(), digest_size=12).hexdigest()


class _Work:
    """Runs that are still to be done, in groups, in processes, and kept."""

    def __init__(self, key: str, n_jobs: int, folder: Path | None, progress: bool | None) -> None:
        if n_jobs == 0:
            raise ValueError("n_jobs must be a number of processes, or -1 for as many as there are cores")
        self._store, self._n_jobs, self._progress = Store(folder, key), n_jobs, progress

    def do(self, rows: NDArray[Any], size: int, task: Any) -> NDArray[np.float64]:
        """Return what was found for every row; `task` makes joblib's task for some of them."""
        store = self._store
        names = [_digest(row) for row in rows]
        missing = [i for i, name in enumerate(names) if name not in store]
        groups = _groups(missing, size, self._n_jobs)
        if missing:
            store.prepare()
        with progress_bar("retraining", len(rows), self._progress, len(rows) - len(missing)) as bar:
            parallel = Parallel(n_jobs=self._n_jobs, return_as="generator")
            for group, found in zip(groups, parallel(task(rows[g]) for g in groups), strict=True):
                store.add({names[i]: value for i, value in zip(group, found, strict=True)})
                bar.update(len(group))
        return store.take(names)


def _digest(array: NDArray[Any]) -> str:
    return hashlib.blake2b(array.tobytes(), digest_size=12).hexdigest()


def _train(
    program: Program, start: State, weights: NDArray[np.float64] | None, utility: StateFunction
) -> NDArray[np.float64]:
    """Train one group of runs as one program over a leading axis; the program itself without weights."""
    if weights is None:
        return _run(program, start, utility)[None]
    if len(weights) == 1:
        return _run(program.with_weights(weights[0]), start, utility)[None]
    return _run_together(program, start, weights, utility)


def _run(program: Program, state: State, utility: StateFunction) -> NDArray[np.float64]:
    for step in range(program.plan.n_steps):
        state, _ = program.step(state, step)
    return utility.value(state)


def _run_together(
    program: Program, start: State, weights: NDArray[np.float64], utility: StateFunction
) -> NDArray[np.float64]:
    """Train several runs as one ensemble, each from where it parts from the program's own weights.

    The first member is the run that parts last. Until a run parts, it is the first member.
    """
    parting = _parting_steps(program, weights)
    order = np.argsort(parting, kind="stable")
    order = np.concatenate([order[-1:], order[:-1]])
    sorted_parting = parting[order[1:]]
    together = program.with_weights(weights[order])
    ensemble = make_ensemble(together, start, len(order))
    for step in range(program.plan.n_steps):
        ensemble.fork(1 + int(np.searchsorted(sorted_parting, step, side="right")))
        advance(ensemble, together, step)
    members = np.empty(len(order), dtype=np.int64)
    members[order] = np.where(np.arange(len(order)) < ensemble.size, np.arange(len(order)), 0)
    parameters, buffers = ensemble.arrays()
    return utility.value(State(parameters, (), buffers))[members]


def _parting_steps(program: Program, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first update at which each run's weights aren't the program's, or the number of updates."""
    plan = program.plan
    parted = np.full(len(weights), plan.n_steps)
    differs = weights != program.weights
    for step in reversed(range(plan.n_steps)):
        parted[differs[:, plan.batch(step)].any(axis=1)] = step
    return parted


def _without(program: Program, removed: NDArray[np.bool_]) -> Program:
    kept = np.flatnonzero(~removed)
    plan = make_plan(program.training, len(kept))
    return Program(program.backend, program.data.take(kept), program.training, plan, program.weights[kept])


def _choose_group_size(program: Program) -> int:
    state = _COPIES * state_bytes(program.backend.signature, program.training)
    activations = _PASSES * program.backend.activation_bytes * program.training.batch_size
    return max(1, min(_MAX_GROUP, _STATE_BYTES // state, _ACTIVATION_BYTES // max(1, activations)))


def _groups(missing: list[int], size: int, n_jobs: int) -> list[list[int]]:
    """Share the runs out evenly among as few groups as `size` allows, or as there are processes."""
    if not missing:
        return []
    workers = n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)
    n_groups = min(len(missing), max(workers, -(-len(missing) // size)))
    return [group.tolist() for group in np.array_split(missing, n_groups)]
