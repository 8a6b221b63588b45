"""Leave-one-out as one vectorised program over one run after another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import dataval as dv
from benchmarks.runner.clock import Action
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite
from benchmarks.work import Work, fashion, lenet, mlp, sgd, softmax_regression

LEFT_OUT = 64
MODELS = {"softmax regression": softmax_regression, "MLP 784-64-10": partial(mlp, 784, 64, 10), "LeNet": lenet}


def make_work(build: Callable[[], object], settings: Settings) -> Work:
    data = fashion(settings.pick(500, 100), settings.pick(200, 20))
    return Work(build, data, sgd(0.01, 0.9, 0.0), settings.pick(3, 1), device=settings.device)


def left_out(build: Callable[[], object], group_size: int | None, settings: Settings) -> Action:
    """Leave out samples in groups of a size, or of the one that the library chooses."""
    work = make_work(build, settings)
    run = work.train()
    indices = range(settings.pick(LEFT_OUT, 8))
    truth = dv.LeaveOneOut(work.learner(), indices=indices, group_size=group_size)

    def action() -> None:
        truth.fit(work.X, work.y, run=run).score(*work.validation())

    return action


def plain_loops(build: Callable[[], object], settings: Settings) -> Action:
    """Train as many times in a plain loop, without evaluating anything."""
    work = make_work(build, settings)

    def action() -> None:
        for _ in range(1 + settings.pick(LEFT_OUT, 8)):
            work.plain()

    return action


def cases() -> list[Ratio]:
    unit = "times as fast"
    return [
        Ratio(
            f"{name}, one program over {what}",
            partial(left_out, build, None),
            partial(*base),
            unit=unit,
            better="more",
            inverse=True,
            repeats=3,
        )
        for name, build in MODELS.items()
        for what, base in {
            "one after another": (left_out, build, 1),
            "plain loops": (plain_loops, build),
        }.items()
    ]


SUITE = Suite(
    "loo",
    "Leave-one-out of 64 of 500 Fashion-MNIST images as one vectorised program, over the same one after "
    "another and over plain loops that train as many times: batch 50, 3 epochs, SGD with momentum.",
    cases(),
)
