"""Whether every method gives the same values on the CPU and on the device that was chosen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import dataval as dv
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.suites.influence import factored, named
from benchmarks.work import Work, fashion, sgd, smooth_lenet

UNIT = "of the largest value"
TOLERANCES = {"float64": 1e-6, "float32": 2e-2}
"""Double precision differs in the order of sums alone; single precision may use TF32 in convolutions."""

METHODS: dict[str, tuple[str, Callable[[dv.Learner], Any]]] = {
    "exact HyDRA, score": ("score", named("HyDRA", hessian=True)),
    "exact HyDRA, attribute": ("attribute", named("HyDRA", hessian=True)),
    "Hessian-free HyDRA, score": ("score", named("HyDRA")),
    "Hessian-free HyDRA, attribute": ("attribute", named("HyDRA")),
    "influence by conjugate gradients, score": ("score", named("InfluenceFunction")),
    "influence by K-FAC, attribute": ("attribute", factored("kfac")),
    "influence by EK-FAC, attribute": ("attribute", factored("ekfac")),
    "TracIn, attribute": ("attribute", named("TracIn")),
    "gradient products, attribute": ("attribute", named("GradDot")),
    "leave-one-out, score": ("score", named("LeaveOneOut", indices=range(8))),
    "mean loss, score": ("score", named("MeanLoss")),
    "area under the margin, score": ("score", named("AreaUnderMargin")),
    "forgetting events, score": ("score", named("ForgettingEvents")),
    "EL2N, score": ("score", named("EL2N")),
    "GraNd, score": ("score", named("GraNd")),
}


class Double(nn.Module):
    """A model in double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = smooth_lenet().double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.double())


BUILDS: dict[str, Callable[[], nn.Module]] = {"float64": Double, "float32": smooth_lenet}


def values(name: str, precision: str, device: str, settings: Settings) -> np.ndarray:
    """Return one method's values on a device."""
    question, make = METHODS[name]
    data = fashion(settings.pick(200, 60), 20)
    work = Work(BUILDS[precision], data, sgd(0.01), settings.pick(2, 1), batch_size=20, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method = make(work.learner()).fit(work.X, work.y)
        return np.asarray(getattr(method, question)(*work.validation(5)))


def difference(here: np.ndarray, there: np.ndarray) -> float:
    """Return the largest difference over the largest value; NaN is the same as NaN only."""
    if not np.array_equal(np.isnan(here), np.isnan(there)):
        return np.inf
    scale = float(np.nanmax(np.abs(here)))
    largest = float(np.nanmax(np.abs(here - there)))
    return largest / scale if scale else largest


def find(name: str, precision: str, settings: Settings) -> Iterator[Row]:
    here = values(name, precision, "cpu", settings)
    there = values(name, precision, settings.device, settings)
    yield Row(
        f"{name}, {precision}",
        difference(here, there),
        UNIT,
        floor=TOLERANCES[precision],
        details={"device": settings.device, "correlation": float(np.corrcoef(*_finite(here, there))[0, 1])},
    )


def _finite(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = np.isfinite(here) & np.isfinite(there)
    return here[kept], there[kept]


SUITE = Suite(
    "agreement",
    "The largest difference between a method's values on the CPU and on the device of --device, relative "
    f"to the largest value: at most {TOLERANCES['float64']:g} in double precision, "
    f"{TOLERANCES['float32']:g} in single.",
    [
        Figures(f"{name}, {precision}", partial(find, name, precision), UNIT)
        for precision in BUILDS
        for name in METHODS
    ],
    strict=True,
)
