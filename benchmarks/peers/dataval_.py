"""Ours, in the peers' environment."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import dataval as dv
from benchmarks.peers.task import Prepare, Task
from benchmarks.suites.influence import factored, named

DISTRIBUTION = "dataval"


def attributing(make: Callable[[dv.Learner], Any]) -> Prepare:
    return _asking("attribute", make)


def scoring(make: Callable[[dv.Learner], Any]) -> Prepare:
    return _asking("score", make)


def _asking(question: str, make: Callable[[dv.Learner], Any]) -> Prepare:
    def prepare(task: Task) -> Callable[[], Any]:
        work, run = task.work, task.run
        method = make(work.learner())

        def action() -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return getattr(method.fit(work.X, work.y, run=run), question)(
                    *work.validation(task.n_questions)
                )

        return action

    return prepare


METHODS = {
    "exact HyDRA, score": scoring(named("HyDRA", hessian=True)),
    "Hessian-free HyDRA, attribute": attributing(named("HyDRA")),
    "EK-FAC, attribute": attributing(factored("ekfac")),
    "influence by conjugate gradients, score": scoring(named("InfluenceFunction")),
    "TracIn, attribute": attributing(named("TracIn")),
    "gradient products, attribute": attributing(named("GradDot")),
    "influence without curvature, attribute": attributing(named("InfluenceFunction", solver="identity")),
    "TRAK, attribute": attributing(named("TRAK")),
    "mean loss, score": scoring(named("MeanLoss")),
    "area under the margin, score": scoring(named("AreaUnderMargin")),
    "exact HyDRA, attribute": attributing(named("HyDRA", hessian=True)),
}
