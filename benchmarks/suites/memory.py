"""Memory, each figure from a process of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import dataval as dv
from benchmarks.runner.memory import in_fresh_process, seconds_and_rises
from benchmarks.runner.rows import AbsentError, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.suites.influence import factored, named
from benchmarks.work import Work, fashion, lenet, lenet_work, sgd

UPDATES, BATCH = 320, 50
UNIT = "MiB"
METHODS: dict[str, tuple[str, int, Callable[[dv.Learner], Any]]] = {
    "Hessian-free HyDRA, score of 500": ("score", 500, named("HyDRA")),
    "exact HyDRA, score of 500": ("score", 500, named("HyDRA", hessian=True)),
    "Hessian-free HyDRA, attribute of 100": ("attribute", 100, named("HyDRA")),
    "exact HyDRA, attribute of 8": ("attribute", 8, named("HyDRA", hessian=True)),
    "conjugate gradients, score of 500": ("score", 500, named("InfluenceFunction")),
    "EK-FAC, attribute of 100": ("attribute", 100, factored("ekfac")),
    "TracIn, attribute of 100": ("attribute", 100, named("TracIn")),
    "gradient products, attribute of 100": ("attribute", 100, named("GradDot")),
    "mean loss, score of 500": ("score", 500, named("MeanLoss")),
}


def of_method(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Measure in this process; the training is done before, and a small question warms up."""
    settings = Settings(**given)
    question, n, make = METHODS[name]
    work = lenet_work(settings)
    try:
        method = make(work.learner())
    except AbsentError as error:
        return {"absent": str(error)}
    warnings.simplefilter("ignore")
    few = lenet_work(Settings(quick=True, device=settings.device))
    getattr(make(few.learner()).fit(few.X, few.y), question)(*few.validation(2))
    fitted = method.fit(work.X, work.y)
    return seconds_and_rises(lambda: getattr(fitted, question)(*work.validation(n)))


def of_training(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """Measure a plain loop or ours in this process."""
    settings = Settings(**given)
    few = lenet_work(Settings(quick=True, device=settings.device))
    getattr(few, kind)()
    return seconds_and_rises(getattr(lenet_work(settings), kind))


def of_score(n: int, exact: bool, given: dict[str, Any]) -> dict[str, Any]:
    """Measure `score` in this process, with as many updates whatever the number of samples."""
    settings = Settings(**given)
    updates = settings.pick(UPDATES, 40)
    work = Work(
        lenet, fashion(n, 200), sgd(0.01, 0.9, 0.0), updates * BATCH // n, BATCH, device=settings.device
    )
    warnings.simplefilter("ignore")
    few = work.but(data=fashion(500, 200), epochs=1)
    dv.HyDRA(few.learner(), hessian=exact).fit(few.X, few.y).score(
        *few.validation()
    )  # loads what is loaded late
    hydra = dv.HyDRA(work.learner(), hessian=exact).fit(work.X, work.y)
    return seconds_and_rises(lambda: hydra.score(*work.validation()))


def figure(
    title: str, function: Callable[..., dict[str, Any]], *arguments: Any
) -> Callable[[Settings], Iterator[Row]]:
    def find(settings: Settings) -> Iterator[Row]:
        found = in_fresh_process(function, *arguments, asdict(settings))
        if "absent" in found:
            raise AbsentError(found["absent"])
        yield Row(title, found["VmRSS"], UNIT, details=found)

    return find


def grown(exact: bool, settings: Settings) -> Iterator[Row]:
    """Yield the memory of `score` for more and more samples."""
    for n in settings.pick((1000, 4000, 16000), (200, 400)):
        found = in_fresh_process(of_score, n, exact, asdict(settings))
        name = f"{'exact' if exact else 'Hessian-free'} score, {n} samples, as many updates"
        yield Row(name, found["VmRSS"], UNIT, details=found)


def cases() -> Iterator[Figures]:
    for kind, title in {"plain": "plain loop", "train": "our training"}.items():
        yield Figures(title, figure(title, of_training, kind), UNIT)
    for name in METHODS:
        yield Figures(name, figure(name, of_method, name), UNIT)
    for exact in (True, False):
        yield Figures(f"{'exact' if exact else 'Hessian-free'} score, growth", partial(grown, exact), UNIT)


SUITE = Suite(
    "memory",
    "By how much the resident memory rises (MiB): while training, and while a question about a finished "
    "run is answered. LeNet, 2,000 Fashion-MNIST images, batch 50, 5 epochs; for more and more samples, "
    "320 updates. Each in a process of its own, after a small question. Linux only.",
    list(cases()),
)
