"""Short training runs on the zoo, and comparisons of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import dataval as dv
from dataval.training.plan_arrays import pack_plan
from dataval.training.program import State
from tests.zoo.data import Samples, samples_for

N = 20

BATCH_NORM = pytest.param("cnn_batch_norm", marks=pytest.mark.slow_on_tensorflow)
DROPOUT = pytest.param("dropout", marks=pytest.mark.slow_on_tensorflow)
TRANSFORMER = pytest.param("transformer", marks=pytest.mark.slow_on_tensorflow)
"""A model whose functions TensorFlow compiles for tens of seconds."""

_CACHES: list[Any] = []


def shared(make: Callable[..., Any]) -> Any:
    """Decorate a function whose results the tests of a file share, as training and compiling take long.

    Tests never change what they share.
    """
    cached = cache(make)
    _CACHES.append(cached)
    return cached


def forget_shared() -> None:
    """Let go of all that was shared."""
    for cached in _CACHES:
        cached.cache_clear()


def crossed(rows: Iterable[Any], columns: Iterable[Any], *, always: tuple[Any, Any]) -> list[Any]:
    """Pair all rows with all columns as parameters of a test.

    On TensorFlow only pairs with the row or the column of `always` are quick, and of a transformer none is:
    others compile a model anew for arithmetic that is the same code on both frameworks.
    """
    slow = pytest.mark.slow_on_tensorflow
    quick = {(row, always[1]) for row in rows if row != "transformer"} | {(always[0], c) for c in columns}
    return [
        pytest.param(row, column, marks=[] if (row, column) in quick else slow)
        for row, column in product(rows, columns)
    ]


class Trained(NamedTuple):
    """A learner with a run of its own on the samples."""

    learner: dv.Learner
    samples: Samples
    run: dv.TrainingRun


@shared
def shared_model(zoo: ModuleType, model: str) -> Any:
    """Return a model that tests share: learners never change it, and what was compiled for it serves again."""
    return getattr(zoo, model)()


def make_learner(zoo: ModuleType, model: str = "mlp", **options: Any) -> dv.Learner:
    """Return a learner; options of `Training` go there, others to the learner."""
    own = {key: options.pop(key) for key in ("loss", "checkpoints", "params", "device") if key in options}
    settings = {"optimizer": dv.SGD(learning_rate=0.1, momentum=0.9), "epochs": 3, "batch_size": 6, "seed": 1}
    training = dv.Training(**settings | options)
    return dv.Learner(shared_model(zoo, model), training=training, progress=False, **own)


@shared
def trained(zoo: ModuleType, model: str = "mlp", n: int = N, **options: Any) -> Trained:
    """Return a run that tests share and never change, by the options of `make_learner`."""
    learner, samples = make_learner(zoo, model, **options), make_samples(model, n)
    return Trained(learner, samples, learner.train(*samples))


def make_samples(model: str = "mlp", n: int = N, seed: int = 1) -> Samples:
    """Return data for the model; N = 20 with batches of 6 ends every epoch with a short batch of 2."""
    return samples_for(model, n, seed)


def assert_same_state(found: State, expected: State) -> None:
    """Compare two states bit for bit."""
    for left, right in zip(found.arrays(), expected.arrays(), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


def assert_same_run(found: dv.TrainingRun, expected: dv.TrainingRun) -> None:
    """Compare all that two runs hold, bit for bit."""
    for field in ("training", "policy", "n_completed", "backend", "loss", "signature", "environment"):
        assert getattr(found, field) == getattr(expected, field), field
    assert found.data_fingerprint == expected.data_fingerprint
    left, right = pack_plan(found.plan), pack_plan(expected.plan)
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype
        np.testing.assert_array_equal(array, right[name])
    for field in ("batch_size", "n_samples"):
        assert getattr(found.plan, field) == getattr(expected.plan, field)
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert sorted(found.checkpoints) == sorted(expected.checkpoints)
    for step, state in expected.checkpoints.items():
        assert_same_state(found.checkpoints[step], state)
