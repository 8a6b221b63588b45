"""What a backend gets for nothing: states as arrays by name, held against the model."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidModelError
from tests.numpy_backend import SoftmaxRegression
from tests.zoo.data import features

N = 12


@pytest.fixture
def learner(numpy_backend):
    rng = np.random.default_rng(0)
    X, y = features(N, seed=1)
    model = SoftmaxRegression(rng.normal(size=(X.shape[1], 4)), rng.normal(size=4))
    return dv.Learner(model, training=dv.Training(batch_size=5), progress=False), model, (X, y)


def test_arrays_by_name_are_the_flat_vector(learner):
    one, model, samples = learner
    named = {"weights": model.weights, "bias": model.bias}
    run = dv.TrainingRun.from_checkpoints(one, *samples, [named], [0.1])
    np.testing.assert_array_equal(run.final.parameters, one.adopt(*samples).final.parameters)
    values = dv.TracIn(one).fit(*samples, run=run).score(*samples)
    assert values.shape == (N,)
    assert np.isfinite(values).all()


def test_what_is_no_mapping_is_named(learner):
    one, model, samples = learner
    with pytest.raises(TypeError, match=r"states\[0\]: a state is a mapping of names to arrays here, got"):
        dv.TrainingRun.from_checkpoints(one, *samples, [model])
    named = {"weights": model.weights, "offset": model.bias}
    with pytest.raises(InvalidModelError, match=r"lacks 'bias' and adds 'offset'"):
        dv.TrainingRun.from_checkpoints(one, *samples, [named])
