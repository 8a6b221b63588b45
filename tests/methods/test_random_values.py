"""The floor: values that know nothing."""

from __future__ import annotations

import numpy as np

import dataval as dv
from tests.runs import N, make_learner, make_samples


def test_the_seed_decides(zoo):
    learner, samples, validation = make_learner(zoo), make_samples(), make_samples(n=5, seed=2)
    run = learner.train(*samples)
    values = [dv.RandomValues(learner, seed=s).fit(*samples, run=run).score(*validation) for s in (0, 0, 1)]
    assert values[0].shape == (N,)
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.isclose(values[0], values[2]).any()


def test_rows_of_attributions_average_to_the_score(zoo):
    method = dv.RandomValues(make_learner(zoo)).fit(*make_samples())
    validation = make_samples(n=5, seed=2)
    matrix = method.attribute(*validation)
    assert matrix.shape == (5, N)
    np.testing.assert_allclose(matrix.mean(axis=0), method.score(*validation), rtol=1e-12)
