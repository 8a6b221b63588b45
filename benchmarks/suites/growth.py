"""How cost grows with the samples, the questions and the parameters: slopes on logarithmic scales."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from time import process_time
from typing import Any

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

import dataval as dv
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.suites.influence import factored, named
from benchmarks.work import Work, dropped_lenet, fashion, lenet, mlp, normalised_lenet, sgd

UNIT = "slope"
Measure = Callable[[int], Callable[[], Any]]

METHODS = {
    "exact HyDRA": named("HyDRA", hessian=True),
    "Hessian-free HyDRA": named("HyDRA"),
    "conjugate gradients": named("InfluenceFunction"),
    "EK-FAC": factored("ekfac"),
    "TracIn": named("TracIn"),
    "gradient products": named("InfluenceFunction", solver="identity"),
}
SIZES = {"N": (250, 500, 1000), "K": (4, 16, 64), "P": (16, 64, 256)}
QUICK = {"N": (50, 100), "K": (4, 8), "P": (8, 16)}
WIDTH, N, K = 64, 250, 4


def make_work(
    settings: Settings, *, n: int = N, width: int = WIDTH, build: Callable[[], Any] | None = None
) -> Work:
    data = fashion(n, max(SIZES["K"]))
    return Work(build or partial(mlp, 784, width, 10), data, sgd(0.01), 1, device=settings.device)


def asking(method: Callable[[dv.Learner], Any], question: str, work: Work, k: int) -> Callable[[], Any]:
    """Return the action that asks a fitted method about k validation samples."""
    fitted = method(work.learner()).fit(work.X, work.y)
    return lambda: getattr(fitted, question)(*work.validation(k))


def slopes(
    method: Callable[[dv.Learner], Any], question: str, axis: str, settings: Settings, **options: Any
) -> Any:
    """Return the sizes, and for each the counted operations and the seconds."""
    sizes = settings.pick(SIZES, QUICK)[axis]
    operations, seconds, true_sizes = [], [], []
    for size in sizes:
        kind = {"N": "n", "P": "width"}.get(axis)
        work = make_work(settings, **options, **({kind: size} if kind else {}))
        action = asking(method, question, work, size if axis == "K" else K)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            counted, spent = measure(action)
        operations.append(counted)
        seconds.append(spent)
        true_sizes.append(sum(p.numel() for p in work.model().parameters()) if axis == "P" else size)
    return true_sizes, operations, seconds


def measure(action: Callable[[], Any]) -> tuple[int, float]:
    """Return the operations (of matrix products and convolutions) and the seconds that an action takes."""
    with FlopCounterMode(display=False) as counter:
        action()
    start = process_time()
    action()
    return counter.get_total_flops(), process_time() - start


def slope(sizes: list[int], costs: list[float]) -> float:
    """Return the slope of log cost over log size, by least squares."""
    if min(costs) <= 0:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def grown(name: str, question: str, axis: str, settings: Settings, **options: Any) -> Iterator[Row]:
    """Yield by what power of a size the cost of a method grows."""
    sizes, operations, seconds = slopes(METHODS[name], question, axis, settings, **options)
    by_time = slope(sizes, seconds)
    counted = slope(sizes, operations) if min(operations) else math.nan
    by = "counted operations" if counted == counted else "process time"
    model = options.get("build")
    yield Row(
        title(name, question, axis, model),
        round(counted if counted == counted else by_time, 3),
        UNIT,
        floor=1.15,
        note=f"by {by}",
        details={
            "sizes": sizes,
            "operations": operations,
            "seconds": seconds,
            "slope_of_seconds": round(by_time, 3),
        },
    )


def title(name: str, question: str, axis: str, model: Any = None) -> str:
    where = {normalised_lenet: ", batch normalisation", dropped_lenet: ", dropout", lenet: ", LeNet"}.get(
        model, ""
    )
    return f"{name}, {question} in {axis}{where}"


def cases() -> Iterator[Figures]:
    for name in METHODS:
        for question, axes in {"score": "NP", "attribute": "NKP"}.items():
            for axis in axes:
                if name == "conjugate gradients" and axis == "P":
                    continue  # the number of iterations is the problem's, not the method's
                yield Figures(title(name, question, axis), partial(grown, name, question, axis), UNIT)
    for build in (normalised_lenet, dropped_lenet):
        found = partial(grown, "Hessian-free HyDRA", "attribute", "K", build=build)
        yield Figures(title("Hessian-free HyDRA", "attribute", "K", build), found, UNIT)


SUITE = Suite(
    "growth",
    "By what power of the training samples (N), the questions (K) and the parameters (P) cost grows: "
    "slopes of counted operations (matrix products and convolutions) on logarithmic scales, of process "
    "time where none are counted. An MLP 784-width-10, one epoch; 1 is proportional.",
    list(cases()),
)
