"""Training again under other sample weights, many runs at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from dataval.objective import ValidationObjective
from dataval.program import Program, State
from dataval.progress import progress_bar
from dataval.run import state_bytes

__all__ = ["retrain"]

_GROUP_BYTES = 2**29
_COPIES = 8  # states, gradients and temporaries that are alive at a time while a group trains
_MAX_GROUP = 32


def retrain(
    program: Program,
    start: State,
    weights: NDArray[np.float64],
    objective: ValidationObjective,
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
        What is trained; its own weights play no part.
    start : State
        The state before the first update.
    weights : ndarray of float64, shape (M, N)
        One weight vector a run.
    objective : ValidationObjective
        Evaluated at the end of each run.
    key : str
        Tells this program, start and objective from others in `folder`.
    n_jobs : int, default 1
        Processes.
    group_size : int, optional
        Runs trained at once; from the size of the model's state by default.
    folder : path, optional
        Where finished results are kept and looked up.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    ndarray of float64, shape (M,)
        The objective at the end of each run.

    Raises
    ------
    ValueError
        If `group_size` is not positive or `n_jobs` is 0.
    """
    if group_size is not None and group_size < 1:
        raise ValueError(f"group_size must be at least 1, got {group_size}")
    if n_jobs == 0:
        raise ValueError("n_jobs must be a number of processes, or -1 for as many as there are cores")
    store = _Store(folder, key)
    names = [hashlib.blake2b(row.tobytes(), digest_size=12).hexdigest() for row in weights]
    missing = [i for i, name in enumerate(names) if name not in store]
    groups = list(_groups(missing, group_size or _choose_group_size(program), n_jobs))
    with progress_bar("retraining", len(weights), progress, len(weights) - len(missing)) as bar:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
        results = parallel(delayed(_train)(program, start, weights[group], objective) for group in groups)
        for group, found in zip(groups, results, strict=True):
            store.add({names[i]: float(value) for i, value in zip(group, found, strict=True)})
            bar.update(len(group))
    return np.array([store[name] for name in names])


def _train(
    program: Program, start: State, weights: NDArray[np.float64], objective: ValidationObjective
) -> NDArray[np.float64]:
    """Train one group of runs as one program over a leading axis."""
    if len(weights) == 1:
        return np.atleast_1d(_run(program.with_weights(weights[0]), start, objective))
    state = _repeat(program, start, len(weights))
    return _run(program.with_weights(weights), state, objective)


def _run(program: Program, state: State, objective: ValidationObjective) -> NDArray[np.float64]:
    for step in range(program.plan.n_steps):
        state, _ = program.step(state, step)
    return objective.value(state)


def _repeat(program: Program, state: State, times: int) -> State:
    to_numpy = program.backend.to_numpy
    rows = [np.repeat(to_numpy(array)[None], times, axis=0) for array in state.arrays()]
    return program.load(State(rows[0], tuple(rows[1:-1]), rows[-1]))


def _choose_group_size(program: Program) -> int:
    one = state_bytes(program.backend.signature, program.training)
    return max(1, min(_MAX_GROUP, _GROUP_BYTES // (_COPIES * one)))


def _groups(missing: list[int], size: int, n_jobs: int) -> Iterator[list[int]]:
    if n_jobs != 1 and missing:
        workers = n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)
        size = max(1, min(size, -(-len(missing) // workers)))
    for start in range(0, len(missing), size):
        yield missing[start : start + size]


class _Store:
    """Finished results by name, in memory and in one JSON file where a folder is given."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._path = None if folder is None else folder / f"retrained-{key}.json"
        self._results: dict[str, float] = {}
        if self._path is not None and self._path.is_file():
            self._results = json.loads(self._path.read_text())

    def __contains__(self, name: str) -> bool:
        return name in self._results

    def __getitem__(self, name: str) -> float:
        return self._results[name]

    def add(self, results: dict[str, float]) -> None:
        self._results |= results
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".tmp")
        scratch.write_text(json.dumps(self._results))
        scratch.replace(self._path)
