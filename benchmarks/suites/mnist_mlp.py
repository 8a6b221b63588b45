"""dattri's perceptron on MNIST, also with exact values averaged over runs on half of the data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import perf_counter

import numpy as np

import dataval as dv
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.suites.mnist import ABOUT, BOUNDS, UNIT, Task, each_method

NAME = "MLP 784-128-64-10"
AVERAGED_TEST = 15
SHOWN = (1, 3, 5, 8, 12, 20)


def averaged(settings: Settings) -> Iterator[Row]:
    """Yield rows for exact values averaged over runs in which a random half of the weights is 0."""
    task = Task(NAME, settings)
    rng, total, start = np.random.default_rng(1), 0.0, perf_counter()
    n_test, n = min(AVERAGED_TEST, task.n_test), len(task.work.X)
    for k in range(1, settings.repeats + 1):
        weights = np.ones(n)
        weights[rng.choice(n, n // 2, replace=False)] = 0.0
        run = task.learner.train(task.work.X, task.work.y, weights)
        total = total + task.attribute(dv.HyDRA(task.learner, hessian=True), run, n_test)
        if k in SHOWN or k == settings.repeats:
            title = f"{NAME}: exact HyDRA, mean of {k} runs on half of the data"
            yield task.row(title, total / k, perf_counter() - start, BOUNDS[NAME])


SUITE = Suite(
    "mnist_mlp",
    f"dattri's MLP 784-128-64-10 {ABOUT} Exact values of 60 test samples, and of 15 averaged over "
    "--repeats runs.",
    [
        Figures(f"{NAME}, mean of runs", averaged, UNIT),
        Figures(NAME, partial(each_method, NAME), UNIT),
    ],
)
