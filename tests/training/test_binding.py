"""A run that is trained and valued in one process makes its backend once, and hashes its data once."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import dataval as dv
from dataval.data import Data
from dataval.errors import RunMismatchError
from dataval.training.learner import Learner
from tests.runs import make_learner, make_samples


@pytest.fixture
def made(monkeypatch):
    """How often backends were made and data were hashed."""
    counts = {"backends": 0, "fingerprints": 0}

    def count(owner, name, key):
        original = getattr(owner, name)

        def counted(self, *args, **kwargs):
            counts[key] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(Learner, "_make_backend", "backends")
    count(Data, "fingerprint", "fingerprints")
    return counts


SAMPLES, VALIDATION = make_samples(), make_samples(n=4, seed=2)


def test_methods_on_a_run_share_its_backend(zoo, made):
    learner = make_learner(zoo)
    run = learner.train(*SAMPLES)
    methods = dv.HyDRA(learner), dv.TracIn(learner), dv.InfluenceFunction(learner, damping=1.0)
    for method in methods:
        method.fit(*SAMPLES, run=run).score(*VALIDATION)
    assert made == {"backends": 1, "fingerprints": 1}


def test_resuming_shares_it_too(zoo, made):
    learner = make_learner(zoo)
    run = learner.prepare(*SAMPLES).run
    learner.train(*SAMPLES, resume=run)
    assert run.is_complete
    assert made == {"backends": 1, "fingerprints": 1}


def test_another_learner_with_the_same_model_shares_it(zoo, made):
    learner = make_learner(zoo)
    run = learner.train(*SAMPLES)
    other = dv.Learner(learner.model, training=dv.Training(**learner.training.model_dump()), progress=False)
    assert other.replay(*SAMPLES, run).program is learner.replay(*SAMPLES, run).program
    assert made["backends"] == 1


@pytest.mark.parametrize(
    "change",
    [{"model": None}, {"device": "cpu"}, {"params": ["*"]}, {"loss": dv.CrossEntropy()}],
    ids=lambda change: next(iter(change)),
)
def test_a_learner_that_may_differ_makes_its_own(zoo, made, change):
    learner = make_learner(zoo)
    run = learner.train(*SAMPLES)
    if "model" in change:
        change = {"model": zoo.mlp()}
    learner.set_params(**change)
    learner.replay(*SAMPLES, run)
    assert made["backends"] == 2


@pytest.mark.parametrize("which", ["X", "y"])
def test_data_that_changed_in_place_are_refused(zoo, which):
    X, y = (array.copy() for array in SAMPLES)
    learner = make_learner(zoo)
    run = learner.train(X, y)
    if which == "X":
        X[-1, -1] += 1
    else:
        y[0] = (y[0] + 1) % 3
    with pytest.raises(RunMismatchError, match="recorded on other data"):
        dv.HyDRA(learner).fit(X, y, run=run)


def test_a_view_of_other_samples_is_refused(zoo):
    learner = make_learner(zoo)
    run = learner.train(*SAMPLES)
    with pytest.raises(RunMismatchError, match="recorded on other data"):
        learner.replay(SAMPLES.X[::-1], SAMPLES.y[::-1], run)


@pytest.mark.parametrize(
    "travel",
    [lambda run: pickle.loads(pickle.dumps(run)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deep"],
)
def test_a_run_that_travels_is_joined_anew(zoo, made, travel):
    learner = make_learner(zoo)
    run = learner.train(*SAMPLES)
    arrived = travel(run)
    assert run.binding is not None
    assert arrived.binding is None
    found = learner.replay(*SAMPLES, arrived)
    assert made == {"backends": 2, "fingerprints": 2}
    assert arrived.binding is not None
    expected = learner.replay(*SAMPLES, run)
    for left, right in zip(found.final.arrays(), expected.final.arrays(), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
