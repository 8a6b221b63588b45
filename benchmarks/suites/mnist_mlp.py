"""dattri's perceptron on MNIST, also with exact values averaged over runs on half of the data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import perf_counter

import dataval as dv
from benchmarks.peers.environment import cache_folder
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.suites.mnist import ABOUT, UNIT, Task, each_method

NAME = "MLP 784-128-64-10"
N_TEST = 50
N_RUNS = (1, 3, 5, 8, 16, 32)
WITH_PLAIN = 8
BOUNDS = {8: (0.54, 0.54), 32: (0.60, 0.60)}


def averaged(settings: Settings) -> Iterator[Row]:
    """Yield rows for exact values averaged over runs in which a random half of the weights is 0.

    What each run answered is kept in the cache, so that a broken-off measurement goes on where it stopped.
    """
    task = Task(NAME, settings)
    n_test = min(N_TEST, task.n_test)
    folder = None if settings.quick else cache_folder() / "mnist_mlp"
    for k in settings.pick(N_RUNS, (1, 2)):
        for include_plain in (False, True) if k == WITH_PLAIN else (False,):
            start = perf_counter()
            method = dv.HyDRA(
                task.learner, hessian=True, removed=0.5, n_runs=k, include_plain=include_plain, folder=folder
            )
            values = task.attribute(method, task.run, n_test)
            of = f"{k} runs on half of the data{' and the plain one' if include_plain else ''}"
            bounds = (None, None) if include_plain else BOUNDS.get(k, (None, None))
            row = task.row(f"{NAME}: exact HyDRA, mean of {of}", values, perf_counter() - start, bounds)
            names = "relative_error", "rank_correlation"
            row.details.update({name: round(method.diagnostics_[name], 3) for name in names})
            yield row


SUITE = Suite(
    "mnist_mlp",
    f"dattri's MLP 784-128-64-10 {ABOUT} Exact values of {N_TEST} test samples averaged over runs, and of 60.",
    [
        Figures(f"{NAME}, mean of runs", averaged, UNIT),
        Figures(NAME, partial(each_method, NAME), UNIT),
    ],
)
