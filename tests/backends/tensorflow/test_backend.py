"""A backend as a whole: it travels to other processes, and what a replay depends on."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tensorflow as tf

import dataval as dv
from dataval.errors import InvalidModelError, RunMismatchError
from dataval_tensorflow import FunctionModel
from tests.backends.support import SEED, make_backend, zoo_case
from tests.zoo import tensorflow_models as zoo
from tests.zoo.data import features


def test_a_backend_that_travels_computes_the_same_bits():
    case = zoo_case(zoo, "dropout")
    arrived = pickle.loads(pickle.dumps(case.backend))
    batch = arrived.batches(case.data).take(np.arange(case.n))
    weights = case.array(np.ones(case.n))
    found = arrived.loss.gradient(*arrived.initial(), batch, weights, SEED)
    for one, other in zip(found, case.gradient(case.parameters, weights), strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


@pytest.fixture(scope="module")
def recorded():
    X, y = features(12)
    learner = dv.Learner(zoo.mlp(), training=dv.Training(epochs=1, batch_size=6), progress=False)
    return learner, (X, y), learner.train(X, y)


@pytest.mark.parametrize("key", ["threads", "onednn", "deterministic"])
def test_a_run_made_under_other_settings_is_refused(recorded, key):
    learner, data, run = recorded
    run = pickle.loads(pickle.dumps(run))
    run.environment = run.environment | {key: "other"}
    with pytest.raises(RunMismatchError, match=f"recorded with {key}=other"):
        learner.prepare(*data, run=run)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_model_in_double(dtype):
    """Where it is in float64 already, there is none."""
    case = zoo_case(zoo, "cnn_batch_norm", dtype=dtype)
    found = case.backend.in_double(case.batch)
    assert (found is None) is (dtype == "float64")
    if found:
        double, batch = found
        assert double.signature.dtype == "float64"
        assert double.signature.parameters == case.backend.signature.parameters
        assert batch.inputs.dtype == tf.float64


def test_the_last_objectives_are_kept():
    model = FunctionModel(lambda v, x: x @ v, tf.Variable(np.zeros((6, 3))))
    backend = make_backend(model, *features(4))
    first, function = backend.objective(), lambda outputs, targets: outputs[:, 0]
    assert backend.objective() is first
    assert backend.objective(function) is backend.objective(function)
    assert backend.objective(function) is not first


def test_an_objective_without_gradient_is_refused():
    model = FunctionModel(lambda v, x: x @ v, tf.Variable(np.zeros((6, 3))))
    backend = make_backend(model, *features(4))
    batch = backend.batches(dv.data.as_data(*features(4))).take(np.arange(4))
    accuracy = backend.objective(lambda o, t: tf.cast(tf.argmax(o, 1) == t, tf.float64))
    with pytest.raises(InvalidModelError, match="smooth one, such as the loss"):
        accuracy.gradient(*backend.initial(), batch)
