"""HyDRA's forward form under a projection, against sweeps of their own."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dataval as dv
from dataval.methods.curvatures import make_sweep
from tests.methods.test_logra import rows_at, scalar
from tests.runs import BATCH_NORM, N, crossed, make_learner, make_samples, trained

N_VAL = 5
ADAM = {"optimizer": dv.Adam(learning_rate=0.01)}


@pytest.mark.parametrize(("model", "hessian"), crossed(["mlp", "dropout"], [True, False], always=("mlp", True)))
def test_directions_that_span_the_question_give_its_exact_values(zoo, model, hessian):
    learner, samples, run = trained(zoo, model)
    validation = make_samples(model, N_VAL, seed=2)
    replay = learner.replay(*samples, run)
    directions = rows_at(replay, replay.final, validation)
    exact = dv.HyDRA(learner, hessian=hessian).fit(*samples, run=run)
    sketched = dv.HyDRA(learner, hessian=hessian, projection=directions).fit(*samples, run=run)
    expected = exact.attribute(*validation)
    # Combinations of orthonormal directions in float64.
    np.testing.assert_allclose(
        sketched.attribute(*validation), expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max()
    )
    np.testing.assert_allclose(sketched.diagnostics_["captured"], 1, rtol=1e-9)
    np.testing.assert_allclose(
        sketched.score(*validation), expected.mean(axis=0), rtol=1e-7, atol=1e-9 * np.abs(expected).max()
    )
    assert sketched.diagnostics_["captured"].shape == (1,)


@pytest.mark.slow_on_tensorflow
def test_what_lies_outside_of_the_span_is_told(zoo):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    replay = learner.replay(*samples, run)
    rows = rows_at(replay, replay.final, validation)
    sketched = dv.HyDRA(learner, projection=rows[:2]).fit(*samples, run=run)
    sketched.attribute(*validation)
    basis = np.linalg.qr(rows[:2].T)[0]
    expected = ((rows @ basis) ** 2).sum(axis=1) / (rows**2).sum(axis=1)
    np.testing.assert_allclose(sketched.diagnostics_["captured"], expected, rtol=1e-9)
    twice = dv.HyDRA(learner, projection=rows[[0, 1, 1, 0]]).fit(*samples, run=run)
    np.testing.assert_allclose(twice.score(*validation), sketched.score(*validation), rtol=1e-7, atol=1e-12)
    assert len(twice._sketch.probes) == 2


@pytest.mark.slow_on_tensorflow
@pytest.mark.parametrize("options", [{}, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize("hessian", [True, False])
def test_random_probes_err_by_what_they_say(zoo, options, hessian):
    """Errors over standard errors have a spread of 1; with 100 values, within 0.2 of it."""
    learner, samples, run = trained(zoo, **options)
    validation = make_samples(n=N_VAL, seed=2)
    expected = dv.HyDRA(learner, hessian=hessian).fit(*samples, run=run).attribute(*validation)
    sketched = dv.HyDRA(learner, hessian=hessian, projection=400).fit(*samples, run=run)
    found = sketched.attribute(*validation)
    errors = (found - expected) / sketched.diagnostics_["standard_error"]
    assert 0.6 < np.sqrt(np.mean(errors**2)) < 1.5
    assert sketched.diagnostics_["standard_error"].shape == (N_VAL, N)
    np.testing.assert_allclose(sketched.score(*validation), found.mean(axis=0), rtol=1e-9, atol=1e-13)
    assert sketched.diagnostics_["cotangent_norm"].shape == (run.n_steps + 1,)


@pytest.mark.parametrize("model", [BATCH_NORM])
def test_random_probes_see_what_flows_through_buffers(zoo, model):
    learner, samples, run = trained(zoo, model, epochs=1)
    validation = make_samples(model, N_VAL, seed=2)
    expected = dv.HyDRA(learner, hessian=True).fit(*samples, run=run).score(*validation)
    sketched = dv.HyDRA(learner, hessian=True, projection=600).fit(*samples, run=run)
    errors = (sketched.score(*validation) - expected) / sketched.diagnostics_["standard_error"][0]
    assert np.sqrt(np.mean(errors**2)) < 1.6


@pytest.mark.slow_on_tensorflow
def test_principal_directions_of_gradients_hold_most(zoo):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    expected = dv.HyDRA(learner, hessian=True).fit(*samples, run=run).attribute(*validation)
    errors = {}
    for probes in ("random", "gradients"):
        method = dv.HyDRA(learner, hessian=True, projection=15, probes=probes).fit(*samples, run=run)
        errors[probes] = np.linalg.norm(method.attribute(*validation) - expected)
    assert method.diagnostics_["captured"].min() > 0.8
    assert errors["gradients"] < 0.3 * errors["random"]
    own = dv.HyDRA(learner, hessian=True, projection=N, probes="gradients").fit(*samples, run=run)
    exact = dv.HyDRA(learner, hessian=True).fit(*samples, run=run).attribute(*samples)
    # All training gradients span themselves, up to eigenvalues of 1e-10.
    np.testing.assert_allclose(own.attribute(*samples), exact, atol=1e-4 * np.abs(exact).max())


@pytest.mark.slow_on_tensorflow
def test_no_update_is_done_for_a_later_question(zoo, monkeypatch):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    sketched = dv.HyDRA(learner, projection=10).fit(*samples, run=run)
    expected = sketched.attribute(*validation)
    revived = pickle.loads(pickle.dumps(sketched))
    for name in ("forward", "backward"):
        monkeypatch.setattr(f"dataval.training.replay.Replay.{name}", lambda *_: pytest.fail("walked"))
    np.testing.assert_array_equal(sketched.attribute(*validation), expected)
    np.testing.assert_array_equal(revived.attribute(*validation), expected)
    asked = sketched.set_params(objective=lambda outputs, _: outputs[:, 0]).score(*validation)
    assert np.abs(asked - expected.mean(axis=0)).max() > 0
    assert sketched.set_params(objective=scalar).score(*validation).shape == (N,)
    with pytest.raises(TypeError, match="single number"):
        sketched.attribute(*validation)


@pytest.mark.slow_on_tensorflow
def test_seeds_and_chunks(zoo):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)

    def values(**options):
        return dv.HyDRA(learner, projection=7, **options).fit(*samples, run=run).attribute(*validation)

    np.testing.assert_allclose(values(chunk_size=3), values(), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(values(), values())
    assert np.abs(values(seed=1) - values()).max() > 0


@pytest.mark.slow_on_tensorflow
def test_an_interrupted_sketch_goes_on(zoo, monkeypatch):
    learner, samples, run = trained(zoo)
    validation = make_samples(n=N_VAL, seed=2)
    method = dv.HyDRA(learner, hessian=True, projection=6, chunk_size=2)
    expected = dv.HyDRA(learner, hessian=True, projection=6, chunk_size=2).fit(*samples, run=run)
    made = []

    def interrupted(*args):
        made.append(1)
        if len(made) == 3:
            raise KeyboardInterrupt
        return make_sweep(*args)

    monkeypatch.setattr("dataval.methods.hydra.make_sweep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        method.fit(*samples, run=run)
    method.fit(*samples, run=run)
    assert len(made) == 4  # three sweeps, one of them broken off before it began
    np.testing.assert_array_equal(method.attribute(*validation), expected.attribute(*validation))


@pytest.mark.parametrize(
    ("projection", "match"),
    [
        (0, "projection must be at least 1"),
        (2.5, "projection must be a number of probes from 1, or an array"),
        ("classes", "projection must be a number of probes from 1, or an array"),
        (np.ones((2, 5)), r"projection must be directions \(k, 83\)"),
        (np.zeros((2, 83)), "not all of them 0"),
        (np.full((2, 83), np.nan), "finite"),
    ],
)
def test_what_is_no_projection_is_named_before_training(zoo, monkeypatch, projection, match):
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises((TypeError, ValueError), match=match):
        dv.HyDRA(make_learner(zoo), projection=projection).fit(*make_samples())
    with pytest.raises(ValueError, match="probes must be"):
        dv.HyDRA(make_learner(zoo), projection=3, probes="classes").fit(*make_samples())
