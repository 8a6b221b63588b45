"""Training again under other sample weights, many runs at once, or really without some samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array
from dataval.backend.losses import identify_loss
from dataval.data import Samples
from dataval.errors import TrainingDivergedError
from dataval.identity import identity
from dataval.objectives.utility import StateFunction
from dataval.progress import progress_bar
from dataval.retraining.ensemble import make_ensemble
from dataval.retraining.probes import probes
from dataval.retraining.store import Store
from dataval.retraining.workers import carry_out, worker_count
from dataval.training.evidence import digest_of
from dataval.training.faults import name_samples
from dataval.training.optimizers import is_own
from dataval.training.plan import make_plan
from dataval.training.plan_arrays import pack_plan
from dataval.training.program import Program, State
from dataval.training.replay import Replay
from dataval.training.run import state_bytes

__all__ = ["retrain", "retrain_without", "retraining_key"]

_STATE_BYTES = 2**29
_COPIES = 8  # states, gradients and temporaries that are alive at a time while a group trains
_ACTIVATION_BYTES = 2**27  # more leaves the caches of a processor, which costs more than a larger group gains
_PASSES = 2  # activations are alive together with their gradients
_MAX_GROUP = 256
_MAX_KEPT_GROUP = 16


def retrain(
    program: Program,
    start: State,
    weights: NDArray[np.float64],
    utility: StateFunction,
    *,
    key: str,
    n_jobs: int | None = None,
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
    n_jobs : int, optional
        Processes, as for `dataval.retraining.workers.worker_count`.
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
    TrainingDivergedError
        If what runs gave is not finite, once all are done: the first is named, the others' results are kept.
    """
    if group_size is not None and group_size < 1:
        raise ValueError(f"group_size must be at least 1, got {group_size}")
    size = group_size or _choose_group_size(program, is_kept=folder is not None)
    work = _Work(key, n_jobs, folder, progress)
    changes = partial(_Changes.of, own=program.weights)
    found = work.do(_train, (program, start, utility), weights, size, changes)
    _check_results(found, (weights == 0) & (program.weights != 0), folder)
    return found


def retrain_without(
    program: Program,
    start: State,
    removed: NDArray[np.bool_],
    utility: StateFunction,
    *,
    key: str,
    n_jobs: int | None = None,
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
    TrainingDivergedError
        As `retrain`.
    """
    work = _Work(f"{key}-removal-{_digest(program.weights)}", n_jobs, folder, progress)
    found = work.do(_train_without, (program, start, utility), removed, 1, _samples_of)
    _check_results(found, removed, folder)
    return found


def retraining_key(replay: Replay, validation: Samples, *parts: Any) -> str:
    """Return a name for everything that decides the result of retraining besides the weights.

    Functions are told apart by what they do and refer to (`dataval.identity`), models by what they give
    (`probes`). It is needed only where results are kept.

    Parameters
    ----------
    replay : Replay
        What is trained, and from where; its run need not have been carried out.
    validation : Samples
        What is measured on.
    *parts
        What is measured: names and functions.

    Raises
    ------
    UnknownIdentityError
        If a function holds what can't be read.
    """
    program, plan, to_numpy = replay.program, replay.run.plan, replay.program.backend.arrays.to_numpy
    start = b"".join(to_numpy(array).tobytes() for array in replay.initial.arrays())
    bound = replay.run.binding
    described = [
        replay.run.data_fingerprint or program.data.fingerprint(),
        *([str(digest_of(*pack_plan(plan).values()))] if plan.is_recorded else []),
        validation.fingerprint(),
        program.training.model_dump_json(),
        *([identity(type(optimizer))] if is_own(optimizer := program.training.optimizer) else []),
        replay.run.loss if bound is None else identify_loss(bound.source.loss, bound.source.outputs),
        repr(replay.run.signature),
        hashlib.blake2b(start, digest_size=16).hexdigest(),
        *probes(replay, validation),
        *map(identity, parts),
    ]
    return hashlib.blake2b("|".join(described).encode(), digest_size=12).hexdigest()


class _Work:
    """Runs that are still to be done, in groups, in processes, and kept."""

    def __init__(self, key: str, n_jobs: int | None, folder: Path | None, progress: bool | None) -> None:
        if n_jobs == 0:
            raise ValueError("n_jobs must be a number of processes, or -1 for as many as there are cores")
        self._store, self._n_jobs, self._progress = Store(folder, key), n_jobs, progress

    def do(
        self, function: Any, shared: Any, rows: NDArray[Any], size: int, pack: Callable[[NDArray[Any]], Any]
    ) -> NDArray[np.float64]:
        """Return what ``function(shared, pack(some rows))`` finds for every row."""
        store = self._store
        names = [_digest(row) for row in rows]
        missing = [i for i, name in enumerate(names) if name not in store]
        groups = _groups(missing, size, worker_count(self._n_jobs))
        if missing:
            store.prepare()
        failed: dict[str, NDArray[np.float64]] = {}
        with progress_bar("retraining", len(rows), self._progress, len(rows) - len(missing)) as bar:
            parts = [pack(rows[group]) for group in groups]
            for number, found in carry_out(function, shared, parts, self._n_jobs):
                results = {names[i]: value for i, value in zip(groups[number], found, strict=True)}
                failed |= {name: value for name, value in results.items() if not np.isfinite(value).all()}
                store.add({name: value for name, value in results.items() if name not in failed})
                bar.update(len(groups[number]))
        return np.array([failed[name] if name in failed else store.take([name])[0] for name in names])


def _check_results(found: NDArray[np.float64], without: NDArray[np.bool_], folder: Path | None) -> None:
    """Raise if runs gave what is not finite, naming the first by the samples ``(M, N)`` it is without."""
    failed = np.flatnonzero(~np.isfinite(found.reshape(len(found), -1)).all(axis=1))
    if not len(failed):
        return
    samples = np.flatnonzero(without[failed[0]])
    which = f"without {name_samples(samples)}" if len(samples) else "on all samples"
    rest = "" if folder is None else f"; the results of the others are kept in {folder}"
    raise TrainingDivergedError(
        f"retraining {which} ended with a result that is not finite ({len(failed)} of {len(found)} runs did): "
        f"use a smaller learning rate, or look for a division by 0, a root or a logarithm at 0 in the "
        f"model, the loss or what is measured{rest}"
    )


def _digest(array: NDArray[Any]) -> str:
    return hashlib.blake2b(array.tobytes(), digest_size=12).hexdigest()


class _Changes(NamedTuple):
    """Rows as what each has in place of the program's weights: small where few samples are concerned."""

    samples: list[NDArray[np.int64]]
    weights: list[NDArray[np.float64]]

    @classmethod
    def of(cls, rows: NDArray[np.float64], own: NDArray[np.float64]) -> _Changes:
        samples = [np.flatnonzero(row != own) for row in rows]
        return cls(samples, [row[changed] for row, changed in zip(rows, samples, strict=True)])

    def rows(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.repeat(own[None], len(self.samples), axis=0)
        for row, changed, weights in zip(found, self.samples, self.weights, strict=True):
            row[changed] = weights
        return found


def _train(shared: tuple[Program, State, StateFunction], changes: _Changes) -> NDArray[np.float64]:
    """Train one group of runs as one program over a leading axis."""
    program, start, utility = shared
    weights = changes.rows(program.weights)
    if len(weights) == 1:
        return _run(program.with_weights(weights[0]), start, utility)[None]
    return _run_together(program, start, weights, utility)


def _train_without(
    shared: tuple[Program, State, StateFunction], removed: list[NDArray[np.int64]]
) -> NDArray[np.float64]:
    program, start, utility = shared
    return np.stack([_run(_without(program, samples), start, utility) for samples in removed])


def _samples_of(removed: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(row) for row in removed]


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
        ensemble.step(together, step)
    members = np.empty(len(order), dtype=np.int64)
    members[order] = np.where(np.arange(len(order)) < ensemble.size, np.arange(len(order)), 0)
    parameters, buffers = ensemble.arrays()
    found = utility.value(State(parameters, (), buffers))[members]
    for i in np.flatnonzero(_are_spoilt(together, parameters)[members]):
        found[i] = _run(program.with_weights(weights[i]), start, utility)  # leaves out whatever has weight 0
    return found


def _are_spoilt(program: Program, parameters: Array) -> NDArray[np.bool_]:
    """Return which of K models are not finite."""
    arrays = program.backend.arrays
    squares = arrays.to_numpy(arrays.inner(parameters, parameters))
    return np.asarray(~np.isfinite(squares).reshape(-1))


def _parting_steps(program: Program, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first update at which each run's weights aren't the program's, or the number of updates."""
    plan = program.plan
    parted = np.full(len(weights), plan.n_steps)
    differs = weights != program.weights
    for step in reversed(range(plan.n_steps)):
        parted[differs[:, plan.batch(step)].any(axis=1)] = step
    return parted


def _without(program: Program, removed: NDArray[np.int64]) -> Program:
    kept = np.setdiff1d(np.arange(len(program.weights)), removed)
    names = [name for name, _ in program.backend.signature.parameters]
    plan = make_plan(program.training, len(kept), names)
    return Program(program.backend, program.data.select(kept), program.training, plan, program.weights[kept])


def _choose_group_size(program: Program, *, is_kept: bool) -> int:
    """Return how many runs to train at once; fewer where results are kept, as an interruption loses a group."""
    state = _COPIES * state_bytes(program.backend.signature, program.training)
    activations = _PASSES * program.backend.activation_bytes * program.training.batch_size
    most = _MAX_KEPT_GROUP if is_kept else _MAX_GROUP
    return max(1, min(most, _STATE_BYTES // state, _ACTIVATION_BYTES // max(1, activations)))


def _groups(missing: list[int], size: int, n_workers: int) -> list[list[int]]:
    """Share the runs out evenly among as few groups as `size` allows, or as there are workers."""
    if not missing:
        return []
    n_groups = min(len(missing), max(n_workers, -(-len(missing) // size)))
    return [group.tolist() for group in np.array_split(missing, n_groups)]
