"""Influence functions and gradient products over training."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import dataval as dv
from benchmarks.runner.clock import Action
from benchmarks.runner.rows import AbsentError
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite
from benchmarks.work import lenet_work

Method = Callable[[dv.Learner], Any]


def factored(curvature: str) -> Method:
    """Return what makes influence functions with Kronecker factors."""

    def make(learner: dv.Learner) -> Any:
        known = str(inspect.signature(dv.InfluenceFunction).parameters["curvature"].annotation)
        method = dv.InfluenceFunction(learner, curvature=curvature)
        if curvature in known:
            return method
        try:
            few = slice(0, 2 * learner.training.batch_size)
            data = lenet_work(Settings(quick=True)).data
            method.fit(data.X_train[few], data.y_train[few])
        except ValueError as error:
            raise AbsentError(f"InfluenceFunction(curvature={curvature!r}) isn't there: {error}") from error
        return method

    return make


def named(name: str, **options: Any) -> Method:
    """Return what makes a method that may not be there."""

    def make(learner: dv.Learner) -> Any:
        if not hasattr(dv, name):
            raise AbsentError(f"dataval.{name} isn't there")
        return getattr(dv, name)(learner, **options)

    return make


def asking(question: str, n: int, method: Method, settings: Settings, *, epochs: int = 5) -> Action:
    """Return the action that fits a method to a given run and asks it."""
    work = lenet_work(settings, epochs=epochs)
    run, fresh = work.train(), method(work.learner())

    def action() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a short training: only the cost matters here
            getattr(fresh.fit(work.X, work.y, run=run), question)(*work.validation(n))

    return action


def plain(settings: Settings, *, epochs: int = 5) -> Action:
    return lenet_work(settings, epochs=epochs).plain


def train(settings: Settings, *, epochs: int = 5) -> Action:
    return lenet_work(settings, epochs=epochs).train


INFLUENCE = named("InfluenceFunction")
IDENTITY = named("InfluenceFunction", solver="identity")


def case(
    name: str,
    question: str,
    n: int,
    method: Method,
    floor: float | None = None,
    aim: float | None = None,
    **options: Any,
) -> Ratio:
    return Ratio(
        name, partial(asking, question, n, method, **options), partial(plain, **options), floor=floor, aim=aim
    )


SUITE = Suite(
    "influence",
    "Influence functions, TracIn and gradient products of a given run, over the plain PyTorch loop that "
    "trains it: LeNet, 2,000 Fashion-MNIST images, batch 50, 5 epochs.",
    [
        case("EK-FAC, factors and 2,000 x 100", "attribute", 100, factored("ekfac"), 6.5, 4),
        case("EK-FAC, factors and 2,000 x 1,000", "attribute", 1000, factored("ekfac"), 10, 6),
        case("K-FAC, factors and 2,000 x 100", "attribute", 100, factored("kfac")),
        case("EK-FAC, score of 1,000", "score", 1000, factored("ekfac")),
        case("conjugate gradients, score of 500", "score", 500, INFLUENCE),
        case("conjugate gradients, score of 500, after 20 epochs", "score", 500, INFLUENCE, epochs=20),
        case("conjugate gradients, attribute of 2", "attribute", 2, INFLUENCE),
        case("TracIn of 5 checkpoints, 2,000 x 100", "attribute", 100, named("TracIn"), 5, 3),
        case("gradient products, 2,000 x 100", "attribute", 100, named("GradDot"), 1.5, 1.0),
        case("gradient products by influence, 2,000 x 100", "attribute", 100, IDENTITY),
        case("TRAK of one model, 2,000 x 100", "attribute", 100, named("TRAK")),
    ],
)
