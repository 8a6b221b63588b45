"""What a call is, and what calls are made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.values import Bad

N, WIDTH, CLASSES = v.N, v.WIDTH, v.CLASSES
X = np.random.default_rng(0).normal(size=(N, WIDTH))
Y = np.arange(N) % CLASSES
VALUES = np.linspace(-1, 1, N)
MASK = np.arange(N) < 4
TRAINING = dv.Training(epochs=2, batch_size=4, optimizer=dv.SGD(learning_rate=0.1))


class Call(NamedTuple):
    """A call, arguments with which it works, and bad values for each argument that is tried."""

    function: Callable[..., object]
    good: dict[str, Any]
    bad: dict[str, Bad]
    words: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Words of which an error must hold one, where the argument's name isn't one of them."""

    def kinds(self) -> Iterator[tuple[str, str, Any]]:
        """Yield (argument, kind, value) for all that is tried."""
        for argument, bad in self.bad.items():
            for kind, value in bad.items():
                yield argument, kind, value


def made(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments, of which some are made anew for every call."""
    return {name: value() if callable(value) else value for name, value in arguments.items()}


@cache
def learner() -> dv.Learner:
    """Return a learner of a softmax regression, trained on the samples once."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Linear(WIDTH, CLASSES).double()
    return dv.Learner(model, training=TRAINING, progress=False)


@cache
def run() -> dv.TrainingRun:
    """Return its run."""
    return learner().train(X, Y)


@cache
def truth() -> dv.evaluation.SubsetTruth:
    """Return retrainings without single samples."""
    return dv.evaluation.SubsetTruth(np.eye(N, dtype=bool)[:6], np.linspace(-1, 1, 6))


def folder() -> Path:
    """Return a new folder."""
    return Path(mkdtemp())


FOLDER = v.NO_FOLDER | {"None": None}
PLACE = {"folder": ("folder", "nowhere", "values.py"), "path": ("path", "nowhere", "values.py")}
LABELS = ("y", "label", "target", "sample")
SAMPLES = ("X", "y", "sample", "input")
OBJECTS: dict[str, tuple[str, ...]] = {
    "X": SAMPLES,
    "y": (*LABELS, "X"),
    "X_val": SAMPLES,
    "y_val": (*LABELS, "X"),
}
DATA = {"X": v.NO_SAMPLES, "y": v.NO_LABELS}
VALIDATION = {"X_val": v.NO_SAMPLES, "y_val": v.NO_LABELS}
