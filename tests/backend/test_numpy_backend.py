"""A backend that fits on a page passes the conformance tests, and carries the whole library.

The library must take nothing from a backend but what the contract says: NumPy's arrays have no methods of a
framework's tensors.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.errors import InvalidDataError, InvalidModelError
from dataval.objectives.validation import ValidationObjective
from dataval.testing import BackendConformance, ConstructionConformance, central, make_backend, make_case
from tests.numpy_backend import NumpyBackend, SoftmaxRegression
from tests.zoo.data import N_CLASSES, N_FEATURES, features

pytestmark = pytest.mark.usefixtures("numpy_backend")


def softmax_regression():
    rng = np.random.default_rng(0)
    return SoftmaxRegression(rng.normal(size=(N_FEATURES, N_CLASSES)), rng.normal(size=N_CLASSES))


class TestDerivatives(BackendConformance):
    takes_functions = False

    @pytest.fixture(params=[None, "weights", "bias"])
    def case(self, request):
        return make_case(NumpyBackend, softmax_regression(), *features(5), params=request.param)


class TestConstruction(ConstructionConformance):
    @pytest.fixture
    def make(self):
        return partial(make_backend, NumpyBackend, softmax_regression())


N, N_VAL, DECAY = 16, 6, 0.1
SAMPLES, VALIDATION = features(N, seed=1), features(N_VAL, seed=2)
OPTIMIZERS = {
    "momentum": dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.02),
    "adamw": dv.AdamW(learning_rate=0.02, weight_decay=0.1),
}


def learner(**training):
    settings = {"optimizer": OPTIMIZERS["momentum"], "epochs": 2, "batch_size": 5, "seed": 1} | training
    return dv.Learner(softmax_regression(), training=dv.Training(**settings), progress=False)


def validation_loss(replay):
    return float(ValidationObjective(replay.program.backend, as_data(*VALIDATION), None).value(replay.final))


def trained_loss(one, weights):
    return validation_loss(one.replay(*SAMPLES, one.train(*SAMPLES, weights)))


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_exact_hydra_equals_differences_of_whole_runs(optimizer, clip_norm):
    one = learner(optimizer=OPTIMIZERS[optimizer], clip_norm=clip_norm)
    values = dv.HyDRA(one, hessian=True).fit(*SAMPLES).score(*VALIDATION)
    expected = [-central(lambda h, w=w: trained_loss(one, 1 + h * w)) for w in np.eye(N)]
    # Differences of fourth order are good to about 1e-11; the largest value is of the order of 0.01.
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-10)


def test_hessian_free_hydra_of_one_update_is_exact():
    """One update from a common start leaves no Hessian to neglect."""
    one = learner(epochs=1, batch_size=N)
    values = dv.HyDRA(one, hessian=False).fit(*SAMPLES).score(*VALIDATION)
    expected = [-central(lambda h, w=w: trained_loss(one, 1 + h * w)) for w in np.eye(N)]
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-10)


def test_both_kinds_of_attributions_have_the_values_as_their_mean():
    one = learner()
    run = one.train(*SAMPLES)
    for hessian in (False, True):
        hydra = dv.HyDRA(one, hessian=hessian).fit(*SAMPLES, run=run)
        matrix = hydra.attribute(*VALIDATION)
        assert matrix.shape == (N_VAL, N)
        # Sums in another order.
        np.testing.assert_allclose(matrix.mean(0), hydra.score(*VALIDATION), rtol=1e-9, atol=1e-13)


def test_influence_equals_differences_of_refitted_minima():
    """Full batches reach the minimum, where one more weight moves it by the inverse Hessian."""
    optimizer = dv.SGD(learning_rate=0.3, momentum=0.8, weight_decay=DECAY)
    one = learner(optimizer=optimizer, epochs=400, batch_size=N)
    influence = dv.InfluenceFunction(one, solver="exact", damping=0.0).fit(*SAMPLES)
    chosen = np.eye(N)[:3]
    expected = [-central(lambda h, w=w: trained_loss(one, 1 + h * w), step=1e-3) for w in chosen]
    # Truncation of the differences is of the order of 1e-12, runs end within 1e-13 of their minimum.
    np.testing.assert_allclose(influence.score(*VALIDATION)[:3], expected, rtol=1e-6, atol=1e-10)


def test_influence_solvers_agree():
    one = learner(optimizer=dv.SGD(learning_rate=0.3, weight_decay=DECAY), epochs=2)
    run = one.train(*SAMPLES)
    values = [
        dv.InfluenceFunction(one, solver=solver, curvature="gauss_newton").fit(*SAMPLES, run=run)
        for solver in ("exact", dv.solvers.ConjugateGradient(tolerance=1e-10))
    ]
    found, expected = (influence.score(*VALIDATION) for influence in values)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)  # the residual that was asked for


def test_tracin_equals_a_plain_loop():
    one = learner(optimizer=dv.SGD(learning_rate=0.1))
    run = one.train(*SAMPLES)
    replay = one.replay(*SAMPLES, run)
    objective, batches = replay.program.backend.objective(), replay.program.batches
    expected = np.zeros(N)
    of_validation = replay.program.backend.batches(as_data(*VALIDATION)).take(np.arange(N_VAL))
    for end, steps in ((4, range(4)), (8, range(4, 8))):
        state = replay.at(end)
        mean = objective.rows(state.parameters, state.buffers, of_validation)[0].mean(0)
        rows = objective.rows(state.parameters, state.buffers, batches.take(np.arange(N)))[0]
        for step in steps:
            batch = run.plan.batch(step)
            expected[batch] += run.plan.learning_rates[step] / run.plan.batch_size * (rows[batch] @ mean)
    values = dv.TracIn(one, checkpoints="epochs").fit(*SAMPLES, run=run).score(*VALIDATION)
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-13)  # sums in another order


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_leave_one_out_equals_runs_without_a_sample(optimizer):
    """Runs that are trained together in a plain ensemble are those that are trained alone."""
    one = learner(optimizer=OPTIMIZERS[optimizer], clip_norm=2.0)
    values = dv.LeaveOneOut(one, utility="loss").fit(*SAMPLES).score(*VALIDATION)
    whole = trained_loss(one, np.ones(N))
    expected = [trained_loss(one, 1 - w) - whole for w in np.eye(N)]
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)  # batched products round otherwise


def test_every_method_values_every_sample():
    one = learner()
    run = one.train(*SAMPLES)
    for kind in (dv.GraNd, dv.EL2N, dv.MeanLoss, dv.ForgettingEvents, dv.AreaUnderMargin):
        values = kind(one).fit(*SAMPLES, run=run).score(*VALIDATION)
        assert values.shape == (N,)
        assert np.isfinite(values).all()


def test_a_saved_run_is_adopted_again(tmp_path):
    one = learner()
    run = one.train(*SAMPLES)
    loaded = dv.TrainingRun.load(run.save(tmp_path / "run"))
    assert loaded.backend == "numpy"
    found, expected = (
        dv.HyDRA(learner(), hessian=True).fit(*SAMPLES, run=r).score(*VALIDATION) for r in (loaded, run)
    )
    np.testing.assert_array_equal(found, expected)


def test_the_exported_model_predicts_as_the_run_ended():
    one = learner()
    replay = one.replay(*SAMPLES, one.train(*SAMPLES))
    outputs = replay.export()(VALIDATION.X)
    z = outputs - outputs.max(1, keepdims=True)
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(N_VAL), VALIDATION.y]
    assert validation_loss(replay) == pytest.approx(losses.mean(), rel=1e-12)


def test_the_model_is_left_alone():
    model = softmax_regression()
    one = dv.Learner(model, training=dv.Training(epochs=1, batch_size=5), progress=False)
    dv.HyDRA(one).fit(*SAMPLES).score(*VALIDATION)
    expected = softmax_regression()
    np.testing.assert_array_equal(model.weights, expected.weights)
    np.testing.assert_array_equal(model.bias, expected.bias)


def test_a_builder_is_found_by_what_it_builds():
    one = dv.Learner(softmax_regression, training=dv.Training(epochs=1, batch_size=5), progress=False)
    assert one.train(*SAMPLES).backend == "numpy"


def test_bad_input_is_named():
    with pytest.raises(InvalidDataError, match=r"first 4 samples, inputs float64\(4, 6\)"):
        make_backend(NumpyBackend, SoftmaxRegression(np.zeros((7, 3)), np.zeros(3)), *features(5))
    with pytest.raises(InvalidModelError, match="the loss 'cross_entropy' of plain outputs alone"):
        make_backend(NumpyBackend, softmax_regression(), *features(5), loss="mse")
