"""HyDRA's fit and score over the plain loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import dataval as dv
from benchmarks.runner.clock import Action
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite
from benchmarks.suites.train import WORKS, plain
from benchmarks.work import Work

BOUNDS = {
    "Hessian-free": {
        "LeNet, SGD with momentum": (2.0, 1.8),
        "LeNet, AdamW with clipping": (2.2, 2.0),
        "MLP 784-256-10, SGD with momentum": (None, None),
    },
    "exact": {
        "LeNet, SGD with momentum": (3.5, 3.0),
        "LeNet, AdamW with clipping": (None, None),
        "MLP 784-256-10, SGD with momentum": (2.7, 2.4),
    },
}
"""Floor and aim of every ratio."""


def fit_and_score(
    make: Callable[[Settings], Work], exact: bool, settings: Settings, *, few_checkpoints: bool = False
) -> Action:
    work = make(settings)
    every = round((work.epochs * len(work.X) / work.batch_size) ** 0.5)
    learner = work.learner(checkpoints=dv.Checkpoints(every=every) if few_checkpoints else None)

    def action() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)  # only the cost matters here
            dv.HyDRA(learner, hessian=exact).fit(work.X, work.y).score(*work.validation(500))

    return action


def cases() -> list[Ratio]:
    found = [
        Ratio(
            f"{variant}, {name}",
            partial(fit_and_score, make, variant == "exact"),
            partial(plain, make),
            floor=BOUNDS[variant][name][0],
            aim=BOUNDS[variant][name][1],
        )
        for variant in BOUNDS
        for name, make in WORKS.items()
    ]
    name, make = next(iter(WORKS.items()))
    return found + [
        Ratio(
            f"{variant}, {name}, checkpoints so few that the run is recomputed",
            partial(fit_and_score, make, variant == "exact", few_checkpoints=True),
            partial(plain, make),
        )
        for variant in BOUNDS
    ]


SUITE = Suite(
    "hydra",
    "HyDRA's fit and score with 500 validation images, training included, over a plain PyTorch loop: "
    "2,000 Fashion-MNIST images, batch 50, 10 epochs.",
    cases(),
)
