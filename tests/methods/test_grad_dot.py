"""GradDot and GradCos against gradients one by one."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.methods import grad_dot
from tests.methods.test_logra import rows_at, scalar
from tests.runs import BATCH_NORM, TRANSFORMER, N, make_learner, make_samples, trained

N_VAL = 5


@pytest.mark.parametrize("model", ["mlp", BATCH_NORM, TRANSFORMER])
def test_products_and_cosines_equal_a_plain_loop(zoo, model):
    learner, samples, run = trained(zoo, model, epochs=1)
    validation = make_samples(model, N_VAL, seed=2)
    replay = learner.replay(*samples, run)
    mine, theirs = (rows_at(replay, replay.final, each) for each in (samples, validation))
    products = theirs @ mine.T
    norms = np.linalg.norm(theirs, axis=1)[:, None] * np.linalg.norm(mine, axis=1)
    for kind, expected in ((dv.GradDot, products), (dv.GradCos, products / norms)):
        for chunk_size in (None, 3):
            method = kind(learner, chunk_size=chunk_size).fit(*samples, run=run)
            # The same sums in float64 in another order.
            np.testing.assert_allclose(method.attribute(*validation), expected, rtol=1e-8, atol=1e-11)
            np.testing.assert_allclose(method.score(*validation), expected.mean(axis=0), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("kind", [dv.GradDot, dv.GradCos])
def test_projected_values_are_near_and_from_the_index_alone(zoo, kind, monkeypatch, tmp_path):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    exact = kind(learner).fit(*samples, run=run).attribute(*validation)
    method = kind(learner, dimension=64, folder=tmp_path).fit(*samples, run=run)
    monkeypatch.setattr(f"{grad_dot.__name__}.TrainingSamples", lambda *_: pytest.fail("ran training samples"))
    found = method.attribute(*validation)
    np.testing.assert_allclose(found.mean(axis=0), method.score(*validation), rtol=1e-9, atol=1e-13)
    # 64 of 83 dimensions: an error of about 1/8 of the norms. A wrong one would have none of the correlation.
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.9


@pytest.mark.slow_on_tensorflow
@pytest.mark.parametrize("dimension", [None, 64])
def test_an_objective_that_is_a_single_number(zoo, dimension):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    for kind in (dv.GradDot, dv.GradCos):
        method = kind(learner, objective=scalar, dimension=dimension).fit(*samples, run=run)
        values = method.score(*validation)
        assert values.shape == (N,)
        with pytest.raises(TypeError, match="single number"):
            method.attribute(*validation)
    assert np.abs(values).max() <= 1


@pytest.mark.slow_on_tensorflow
def test_it_is_tracin_at_the_last_state(zoo):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    products = dv.GradDot(learner).fit(*samples, run=run).score(*validation)
    tracin = dv.TracIn(learner, checkpoints=[run.n_steps]).fit(*samples, run=run).score(*validation)
    np.testing.assert_allclose(tracin, products * 3 * 0.1 / 6, rtol=1e-9, atol=1e-14)  # 3 epochs, rate .1, b 6


def test_a_folder_needs_a_dimension(zoo, tmp_path):
    with pytest.raises(ValueError, match="give a dimension"):
        dv.GradDot(make_learner(zoo), folder=tmp_path).fit(*make_samples())
