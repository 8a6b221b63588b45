"""The seam to joblib: one function of many parts, carried out here, in processes, or by Dask or Ray.

Which of these is for the caller to say, by `joblib.parallel_config`. What all parts need is sent to a
worker once. What a worker finds is handed on as it comes, and what a lost worker had is done again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from time import monotonic
from typing import Any

from joblib import Parallel, delayed, effective_n_jobs
from joblib.externals.loky import get_reusable_executor

from dataval.errors import WorkerLostError, WorkerLostWarning
from dataval.retraining.shared import Shared

__all__ = ["carry_out", "in_order", "worker_count"]

_MOST_LOSSES = 3  # in a row, with nothing found between them
_IDLE_SECONDS = 240.0  # loky's workers leave after 300, and whoever asks them at that moment may wait for ever
_LOSSES = {
    "BrokenProcessPool",  # joblib's own processes
    "KilledWorker",  # Dask
    "NodeDiedError",  # Ray
    "RayActorError",
    "WorkerCrashedError",
}
_last_use: list[float] = []  # of joblib's processes, by this module: nothing, or when


def worker_count(n_jobs: int | None) -> int:
    """Return how many workers there are.

    Parameters
    ----------
    n_jobs : int or None
        Processes, negative to count from the number of cores; None for what `joblib.parallel_config` says, and
        for one where it says nothing. Dask's workers are all taken, whatever the number.
    """
    return int(effective_n_jobs(n_jobs))


def carry_out(
    function: Callable[[Any, Any], Any], shared: Any, parts: Sequence[Any], n_jobs: int | None
) -> Iterator[tuple[int, Any]]:
    """Yield the number of each part and ``function(shared, part)``, in the order in which they are done.

    Parameters
    ----------
    function : callable
        (shared, part) -> anything.
    shared
        What it needs for every part. It is pickled once, and only where there are other processes.
    parts : sequence
        What is to be done, one call each.
    n_jobs : int or None
        As for `worker_count`.

    Raises
    ------
    WorkerLostError
        If workers were lost again and again, and nothing was found between.

    Warns
    -----
    WorkerLostWarning
        If one was lost, and its part is done again.
    """
    missing, losses = dict(enumerate(parts)), 0
    package = Shared(shared)
    while missing:
        _retire_idle_workers()
        try:
            for number, found in _carried_out(function, package, missing, n_jobs):
                del missing[number]
                losses = 0
                yield number, found
        except Exception as error:
            losses += 1
            if not _is_loss(error):
                raise
            if losses == _MOST_LOSSES:
                raise WorkerLostError(
                    f"workers were lost {losses} times in a row, which most often is for want of memory: use "
                    f"fewer of them (n_jobs), or a smaller group_size ({type(error).__name__}: {error})"
                ) from error
            warnings.warn("a worker was lost: what it had is done again", WorkerLostWarning, stacklevel=2)
            package = Shared(shared)  # as it may have held what the others were to get
        finally:
            _note_use()


def in_order(results: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    """Yield numbered results by their numbers, each as soon as those before it are there."""
    waiting: dict[int, Any] = {}
    due = 0
    for number, found in results:
        waiting[number] = found
        while due in waiting:
            yield waiting.pop(due)
            due += 1


def _carried_out(
    function: Callable[[Any, Any], Any], package: Shared, parts: dict[int, Any], n_jobs: int | None
) -> Iterator[tuple[int, Any]]:
    tasks = [delayed(_work)(function, package, number, part) for number, part in parts.items()]
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    except ValueError:  # a backend that hands nothing on before all is done, such as Ray's
        size = worker_count(n_jobs)
        with Parallel(n_jobs=n_jobs, batch_size=1) as parallel:
            for start in range(0, len(tasks), size):
                yield from parallel(tasks[start : start + size])
        return
    results = parallel(tasks)
    try:
        for result in results:  # noqa: UP028 - `yield from` would close the inner one first
            yield result
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some of what was begun is not asked for any more
            results.close()


def _work(function: Callable[[Any, Any], Any], package: Any, number: int, part: Any) -> tuple[int, Any]:
    return number, function(package.value(), part)


def _is_loss(error: Exception) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, CancelledError) or bool(names & _LOSSES)


def _retire_idle_workers() -> None:
    """Let go of processes that have been idle for so long that they may be leaving by now."""
    if _last_use and monotonic() - _last_use[0] > _IDLE_SECONDS:
        get_reusable_executor(reuse=True).shutdown(wait=True)


def _note_use() -> None:
    _last_use[:] = [monotonic()]
