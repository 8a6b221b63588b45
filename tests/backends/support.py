"""Building a backend on a model of the zoo, and comparing results."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from dataval import testing
from dataval.backend import Backend
from dataval.backend.registry import find_model
from dataval.data import as_data
from dataval.testing import SEED, Case, assert_near, central
from tests.conftest import FRAMEWORKS
from tests.zoo.data import MAKERS, samples_for

__all__ = [
    "MODELS",
    "SEED",
    "Case",
    "assert_near",
    "central",
    "make_backend",
    "make_case",
    "zoo_case",
    "zoo_models",
]

N = 5
MODELS = sorted(MAKERS)

_QUICK = {"tensorflow": {"cnn_batch_norm"}}
"""Models that run every time where compiling takes seconds: it has what makes derivatives difficult."""


def zoo_models() -> list[Any]:
    """Return pairs (framework, model) for all of the zoo; those that take long and show little are slow."""
    return [
        pytest.param((framework, model), id=f"{framework}-{model}", marks=_marks(framework, model))
        for framework in FRAMEWORKS
        for model in MODELS
    ]


def _marks(framework: str, model: str) -> list[pytest.MarkDecorator]:
    return [] if model in _QUICK.get(framework, MODELS) else [pytest.mark.slow]


def make_backend(model: Any, X: Any, y: ArrayLike, loss: Any = "cross_entropy", **options: Any) -> Backend:
    """Make a backend as a learner does."""
    found = find_model(model, seed=options.get("seed", 0))
    return testing.make_backend(found.backend, found.model, X, y, loss, build=found.build, **options)


def make_case(model: Any, X: Any, y: ArrayLike, loss: Any = "cross_entropy", **options: Any) -> Case:
    """Make a backend with all samples as one batch."""
    return Case(make_backend(model, X, y, loss, **options), as_data(X, np.asarray(y)))


def zoo_case(zoo: Any, name: str, n: int = N, dtype: str = "float64", **options: Any) -> Case:
    """Return a case of a model of the zoo, given as its module or its framework's name."""
    zoo = import_module(f"tests.zoo.{zoo}_models") if isinstance(zoo, str) else zoo
    samples = samples_for(name, n)
    if options:
        return make_case(getattr(zoo, name)(dtype), samples.X, samples.y, **options)
    return Case(_zoo_backend(zoo, name, n, dtype), as_data(samples.X, samples.y))


@cache
def _zoo_backend(zoo: Any, name: str, n: int, dtype: str) -> Backend:
    """Return a backend that tests share, as compiling takes longer than computing; it keeps no state."""
    samples = samples_for(name, n)
    return make_backend(getattr(zoo, name)(dtype), samples.X, samples.y)
