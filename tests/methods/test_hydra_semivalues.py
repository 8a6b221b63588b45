"""HyDRA averaged over masked runs against Banzhaf's and Shapley's values of all subsets."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

import dataval as dv
from dataval.backend.registry import framework_settings
from dataval.data import as_data
from dataval.objectives.utility import make_utility
from dataval.retraining.retrain import retrain
from tests.runs import shared

torch = pytest.importorskip("torch")

EPOCHS = {"softmax regression": 30, "mlp": 40}


def make_model(kind):
    torch.manual_seed(0)
    nn = torch.nn
    if kind == "softmax regression":
        return nn.Linear(3, 2).double()
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).double()


@shared
def enumerated(kind, n):
    """Return a learner, its samples and run, validation samples, and Banzhaf's and Shapley's values."""
    rng = np.random.default_rng(0)
    X, X_val, direction = rng.normal(size=(n, 3)), rng.normal(size=(60, 3)), rng.normal(size=3)
    y = (X @ direction + 0.5 * rng.normal(size=n) > 0).astype(int)
    y_val = (X_val @ direction > 0).astype(int)
    optimizer = dv.SGD(learning_rate=0.1, momentum=0.5)
    training = dv.Training(optimizer=optimizer, epochs=EPOCHS[kind], batch_size=n)
    learner = dv.Learner(make_model(kind), training=training, progress=False)
    run = learner.train(X, y)
    kept = np.array(list(product([0.0, 1.0], repeat=n)))
    with framework_settings():
        replay = learner.replay(X, y, run)
        loss = make_utility("loss", replay.program.backend, as_data(X_val, y_val))
        losses = retrain(replay.program, replay.initial, kept, loss, key="")
    truth = {"banzhaf": np.zeros(n), "shapley": np.zeros(n)}
    for j in range(n):
        is_in = kept[:, j] == 1
        rises = losses[~is_in] - losses[is_in]
        sizes = kept[~is_in].sum(axis=1).astype(int)
        truth["banzhaf"][j] = rises.mean()
        truth["shapley"][j] = sum(rise / (n * comb(n - 1, k)) for rise, k in zip(rises, sizes, strict=True))
    assert truth["shapley"].sum() == pytest.approx(losses[0] - losses[-1], rel=1e-9)
    return learner, (X, y), run, (X_val, y_val), truth


def correlation(kind, n, value, n_runs, seed=0):
    learner, samples, run, validation, truth = enumerated(kind, n)
    removed = {"banzhaf": 0.5, "shapley": "uniform"}[value]
    method = dv.HyDRA(learner, hessian=True, removed=removed, n_runs=n_runs, seed=seed)
    values = method.fit(*samples, run=run).score(*validation)
    return np.corrcoef(values, truth[value])[0, 1]


@pytest.mark.parametrize("value", ["banzhaf", "shapley"])
def test_few_runs_are_nearer_than_the_derivative(value):
    """Of 12 samples 12 runs of the 4,096 that there are: measured .98 and .99, the derivative .93 and .92."""
    learner, samples, run, validation, truth = enumerated("mlp", 12)
    plain = dv.HyDRA(learner, hessian=True).fit(*samples, run=run).score(*validation)
    found = correlation("mlp", 12, value, 12)
    assert found > np.corrcoef(plain, truth[value])[0, 1]
    assert found >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("value", ["banzhaf", "shapley"])
@pytest.mark.parametrize("kind", EPOCHS)
def test_it_comes_nearer_with_more_runs(kind, value):
    few, many = (np.mean([correlation(kind, 12, value, k, seed) for seed in range(2)]) for k in (4, 64))
    assert few < many
    assert many >= 0.95
