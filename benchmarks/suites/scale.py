"""All exact values of 60,000 images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict
from time import perf_counter
from typing import Any

import numpy as np

import dataval as dv
from benchmarks.runner.memory import in_fresh_process, seconds_and_rises
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.work import Work, fashion, sgd, smooth_lenet

TIMEOUT = 3600


def exact_values(given: dict[str, Any]) -> dict[str, Any]:
    """Train and find every exact value in this process."""
    settings = Settings(**given)
    n, n_val = settings.pick((60_000, 10_000), (500, 100))
    work = Work(smooth_lenet, fashion(n, n_val), sgd(0.02), 3, device=settings.device)
    start = perf_counter()
    work.plain()
    plain = perf_counter() - start
    found: dict[str, Any] = {}

    def action() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)
            hydra = dv.HyDRA(work.learner(), hessian=True).fit(work.X, work.y)
            values = hydra.score(*work.validation())
        found.update(finite=bool(np.isfinite(values).all()), growth=float(hydra.diagnostics_["growth"]))

    return seconds_and_rises(action) | found | {"plain_seconds": round(plain, 1), "n": n, "validation": n_val}


def find(settings: Settings) -> Iterator[Row]:
    found = in_fresh_process(exact_values, asdict(settings), timeout=TIMEOUT)
    yield Row("minutes", round(found["seconds"] / 60, 2), "minutes", details=found)
    yield Row("over the plain loop", round(found["seconds"] / found["plain_seconds"], 2), "x plain loop")
    yield Row("memory", found["VmRSS"], "MiB above the loaded data")


SUITE = Suite(
    "scale",
    "60,000 Fashion-MNIST images, 3 epochs, batch 50, LeNet (GELU, average pooling): training and all "
    "exact values for 10,000 validation images, elapsed minutes and memory; --threads 2 for two cores.",
    [Figures("all exact values", find, "minutes")],
)
