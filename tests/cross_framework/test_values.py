"""The same run, and the same values of every method, on PyTorch and on TensorFlow."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorflow")

import dataval as dv
from dataval.errors import RunMismatchError
from tests.backends.support import assert_near
from tests.cross_framework.conversion import samples, twins

OPTIMIZERS = {
    "sgd": dv.SGD(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=5e-3),
    "adamw": dv.AdamW(learning_rate=0.01, weight_decay=0.05),
}
SAME = 1e-8  # rounding of float64, grown over 100 updates
N, BATCH = 30, 6


def learners(name, optimizer, epochs):
    pair = twins(name)
    training = dv.Training(optimizer=optimizer, epochs=epochs, batch_size=BATCH, seed=1)
    make = {"training": training, "progress": False, "device": "cpu"}
    return dv.Learner(pair.torch, **make), dv.Learner(pair.tensorflow, **make), pair.order


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("mlp", "adamw"),
        slow("mlp", "sgd"),
        *(slow(name, optimizer) for name in ("layer_norm", "cnn_max_pool") for optimizer in OPTIMIZERS),
    ],
)
def test_a_hundred_updates_and_all_values(name, optimizer):
    one, other, order = learners(name, OPTIMIZERS[optimizer], epochs=20)
    data, validation = samples(name, N, seed=1), samples(name, 8, seed=2)
    runs = [learner.train(*data) for learner in (one, other)]
    assert runs[0].n_steps == 100
    assert_near(np.asarray(runs[1].final.parameters), np.asarray(runs[0].final.parameters)[order], SAME)
    assert_near(runs[1].losses, runs[0].losses, SAME)
    for hessian in (False, True):
        values = [
            dv.HyDRA(learner, hessian=hessian).fit(*data, run=run).score(*validation)
            for learner, run in zip((one, other), runs, strict=True)
        ]
        assert_near(values[1], values[0], SAME)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_lenet(optimizer):
    one, other, order = learners("lenet", OPTIMIZERS[optimizer], epochs=2)
    data, validation = samples("lenet", N, seed=1), samples("lenet", 8, seed=2)
    found = []
    for learner in (one, other):
        hydra = dv.HyDRA(learner, hessian=True).fit(*data)
        found.append((np.asarray(hydra.run_.final.parameters), hydra.score(*validation)))
    assert_near(found[1][0], found[0][0][order], SAME)
    assert_near(found[1][1], found[0][1], SAME)


@pytest.mark.parametrize(
    "curvature", [dv.EKFAC(), slow(dv.KFAC(fisher="exact", sharing="reduce"))], ids=["ekfac", "kfac"]
)
def test_kronecker_factors(curvature):
    """What is drawn depends on seeds and probabilities alone."""
    one, other, _ = learners("mlp", OPTIMIZERS["sgd"], epochs=2)
    data, validation = samples("mlp", N, seed=1), samples("mlp", 8, seed=2)
    values = [
        dv.InfluenceFunction(learner, curvature=curvature).fit(*data).attribute(*validation)
        for learner in (one, other)
    ]
    assert_near(values[1], values[0], SAME)


def tokens_of(X, y):
    return np.abs(10 * np.asarray(X)).astype(np.int64), y


def methods():
    """Every method there is, with its default options."""
    kinds = (getattr(dv, name) for name in dv.__all__)
    return [
        k for k in kinds if inspect.isclass(k) and issubclass(k, dv.DataValuator) and k is not dv.DataValuator
    ]


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
def test_every_method(method):
    one, other, _ = learners("mlp", OPTIMIZERS["sgd"], epochs=4)
    data, validation = samples("mlp", N, seed=1), samples("mlp", 8, seed=2)
    if method is dv.BM25:  # of tokens
        data, validation = tokens_of(*data), tokens_of(*validation)
    values = [method(learner).fit(*data).score(*validation) for learner in (one, other)]
    assert_near(values[1], values[0], SAME)


@pytest.mark.parametrize("name", ["mlp", slow("cnn_max_pool")])
@pytest.mark.filterwarnings("ignore::dataval.errors.PlateauWarning")  # labels that can't be learnt
def test_retraining_and_attributions(name):
    one, other, _ = learners(name, OPTIMIZERS["sgd"], epochs=4)
    data, validation = samples(name, N, seed=1), samples(name, 6, seed=2)
    found = []
    for learner in (one, other):
        hydra = dv.HyDRA(learner).fit(*data)
        verified = hydra.verify(*validation, n_subsets=4, fraction=0.2, group_size=2)
        found.append((hydra.attribute(*validation), np.asarray(verified.actual)))
    for mine, theirs in zip(*found, strict=True):
        assert_near(theirs, mine, SAME)


@pytest.mark.parametrize("recorded_by", [0, 1])
def test_a_run_is_refused_by_the_other_framework(recorded_by, tmp_path):
    *pair, _ = learners("mlp", OPTIMIZERS["sgd"], epochs=1)
    data = samples("mlp", N, seed=1)
    run = dv.TrainingRun.load(pair[recorded_by].train(*data).save(tmp_path / "run"))
    assert run.backend == ["torch", "tensorflow"][recorded_by]
    with pytest.raises(RunMismatchError, match=f"another backend: {run.backend}; this learner has"):
        dv.HyDRA(pair[1 - recorded_by]).fit(*data, run=run)
