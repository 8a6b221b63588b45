"""TRAK by its definition in NumPy, against least squares solved again, and with several models."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dataval as dv
from dataval.curvature.projections import RandomProjection
from dataval.errors import InvalidDataError, RunMismatchError
from dataval.objectives.sample_gradients import ObjectiveGradients, OutputGradients, log_odds
from tests.runs import N, make_learner, make_samples, trained
from tests.zoo.data import N_CLASSES, N_FEATURES

N_VAL = 5
MODEL = "softmax_regression"


def softmax_parts(learner, run, samples):
    """Weights (C, d + 1) of a softmax regression, inputs with a 1, probabilities; of either framework."""
    model = learner.replay(*make_samples(MODEL), run).export()
    if hasattr(model, "state_dict"):
        matrix, bias = model.weight.detach().numpy(), model.bias.detach().numpy()
    else:
        matrix, bias = model.get_weights()
        matrix = matrix.T
    x = np.column_stack([samples.X, np.ones(len(samples.X))])
    z = x @ np.column_stack([matrix, bias]).T
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return x, p / p.sum(axis=1, keepdims=True)


def margin_gradients(x, p, y, is_transposed):
    """Of log p_y / (1 - p_y) in the weights and then the biases, written down by hand."""
    rows, others = np.arange(len(y)), p.copy()
    others[rows, y] = 0
    delta = -others / others.sum(axis=1, keepdims=True)
    delta[rows, y] = 1
    weights = np.einsum("nc,nd->ncd", delta, x[:, :-1])
    weights = weights.swapaxes(1, 2) if is_transposed else weights
    return np.concatenate([weights.reshape(len(y), -1), delta], axis=1)


@pytest.mark.parametrize("output", ["margin", "loss"])
def test_equals_its_definition(framework, zoo, output):
    learner, samples, run = trained(zoo, MODEL)
    validation = make_samples(MODEL, N_VAL, seed=2)
    trak = dv.TRAK(learner, dimension=8, damping=0, output=output, seed=4).fit(*samples, run=run)
    x, p = softmax_parts(learner, run, samples)
    x_val, p_val = softmax_parts(learner, run, validation)
    projection = RandomProjection((N_FEATURES + 1) * N_CLASSES, 8, 4)
    is_transposed = framework == "tensorflow"
    phi = projection(margin_gradients(x, p, samples.y, is_transposed))
    phi_val = projection(margin_gradients(x_val, p_val, validation.y, is_transposed))
    q, q_val = 1 - p[np.arange(N), samples.y], 1 - p_val[np.arange(N_VAL), validation.y]
    expected = phi_val @ np.linalg.inv(phi.T @ phi) @ phi.T * q
    expected = expected if output == "margin" else q_val[:, None] * expected
    # Condition numbers of some hundreds in float64.
    np.testing.assert_allclose(trak.attribute(*validation), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(trak.score(*validation), expected.mean(axis=0), rtol=1e-9, atol=1e-12)
    leverages = np.einsum("jk,kl,jl->j", phi, np.linalg.inv(phi.T @ phi), phi)
    np.testing.assert_allclose(trak.self_scores(), leverages / (1 - leverages) * q, rtol=1e-9)
    without = dv.TRAK(learner, dimension=8, damping=0, output=output, seed=4, leave_one_out=True)
    found = without.fit(*samples, run=run).attribute(*validation)
    np.testing.assert_allclose(found, expected / (1 - leverages), rtol=1e-9, atol=1e-12)


def test_the_row_that_is_left_out_is_left_out():
    """Sherman and Morrison against moments without each row."""
    rng = np.random.default_rng(0)
    phi, vector = rng.normal(size=(12, 4)), rng.normal(size=4)
    inverse = np.linalg.inv(phi.T @ phi)
    fast = phi @ inverse @ vector / (1 - np.einsum("jk,kl,jl->j", phi, inverse, phi))
    slow = [vector @ np.linalg.inv(phi.T @ phi - np.outer(row, row)) @ row for row in phi]
    np.testing.assert_allclose(fast, slow, rtol=1e-10)


def test_of_least_squares_it_is_leave_one_out():
    """A linear model in its minimum, nothing projected: removing a sample moves outputs by exactly this."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    X, X_val = rng.normal(size=(30, 3)), rng.normal(size=(4, 3))
    y, y_val = X @ [1.0, -2.0, 0.5] + rng.normal(size=30), np.zeros(4)
    solution = np.linalg.lstsq(X, y, rcond=None)[0]
    model = torch.nn.Linear(3, 1, bias=False).double()
    model.weight.data[:] = torch.from_numpy(solution)
    learner = dv.Learner(model, loss="mse", progress=False)
    run = learner.adopt(X, y[:, None])
    options = {"dimension": 3, "damping": 0, "leave_one_out": True}
    trak = dv.TRAK(learner, output="margin", **options).fit(X, y[:, None], run=run)
    kept = [np.delete(np.arange(30), j) for j in range(30)]
    others = [np.linalg.lstsq(X[rows], y[rows], rcond=None)[0] for rows in kept]
    falls = X_val @ (solution[:, None] - np.array(others).T)
    np.testing.assert_allclose(trak.attribute(X_val, y_val[:, None]), falls, rtol=1e-9, atol=1e-12)
    own = np.array([X[j] @ (solution - others[j]) for j in range(30)])
    np.testing.assert_allclose(trak.self_scores(), own, rtol=1e-9)
    in_loss = dv.TRAK(learner, **options).fit(X, y[:, None], run=run).attribute(X_val, y_val[:, None])
    slopes = -2 * (X_val @ solution - y_val)  # of minus the squared error, in the output
    np.testing.assert_allclose(in_loss, slopes[:, None] * falls, rtol=1e-9, atol=1e-12)


@pytest.mark.slow_on_tensorflow
def test_several_models_are_averaged_term_by_term(zoo):
    learner, samples, run = trained(zoo, MODEL)
    validation = make_samples(MODEL, N_VAL, seed=2)
    options = {"dimension": 8, "seed": 4}
    together = dv.TRAK(learner, seeds=[1, 7, 8], **options).fit(*samples, run=run)
    assert [each.training.seed for each in together.runs_] == [1, 7, 8]
    assert together.run_ is run
    alone, terms = [], []
    for each in together.runs_:
        own = make_learner(zoo, MODEL, seed=each.training.seed)
        trak = dv.TRAK(own, **options).fit(*samples, run=each)
        terms.append(trak._terms())
        alone.append(trak.attribute(*validation) / terms[-1])
    expected = np.mean(alone, axis=0) * np.mean(terms, axis=0)
    found = together.attribute(*validation)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)
    given = dv.TRAK(learner, **options).fit(*samples, run=together.runs_)
    np.testing.assert_array_equal(given.attribute(*validation), found)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(given)).attribute(*validation), found)
    assert given.diagnostics_["n_models"] == 3


@pytest.mark.slow_on_tensorflow
def test_checkpoints_count_as_models(zoo):
    learner, samples, run = trained(zoo, MODEL)
    validation = make_samples(MODEL, N_VAL, seed=2)
    found = dv.TRAK(learner, dimension=8, checkpoints="epochs").fit(*samples, run=run).attribute(*validation)
    listed = dv.TRAK(learner, dimension=8, checkpoints=[4, 8, 12]).fit(*samples, run=run)
    np.testing.assert_array_equal(listed.attribute(*validation), found)
    assert listed.diagnostics_["n_models"] == 3


@pytest.mark.slow_on_tensorflow
def test_is_kept_in_a_folder_with_all_models(zoo, tmp_path, monkeypatch):
    learner, samples, run = trained(zoo, MODEL)
    validation = make_samples(MODEL, N_VAL, seed=2)
    first = dv.TRAK(learner, dimension=8, checkpoints="epochs", folder=tmp_path).fit(*samples, run=run)
    monkeypatch.setattr(OutputGradients, "terms", lambda *_: pytest.fail("ran training samples"))
    monkeypatch.setattr(dv.TRAK, "_check_outputs", lambda self, _: setattr(self, "_is_classifier", True))
    again = dv.TRAK(learner, dimension=8, checkpoints="epochs", folder=tmp_path).fit(*samples, run=run)
    np.testing.assert_array_equal(again.attribute(*validation), first.attribute(*validation))
    np.testing.assert_array_equal(again.self_scores(), first.self_scores())


@pytest.mark.slow_on_tensorflow
def test_gradients_of_outputs_are_those_of_the_loss_over_its_slope(zoo):
    """grad loss = -(1 - p) grad f for the cross-entropy, in a network and layer by layer."""
    learner, samples, run = trained(zoo, "mlp")
    replay = learner.replay(*samples, run)
    backend, arrays = replay.program.backend, replay.program.backend.arrays
    some, weights = np.array([2, 5, 11]), arrays.from_numpy(np.ones(1))
    outputs = OutputGradients(backend, replay.program.data, True)
    loss = ObjectiveGradients(backend, replay.program.data)
    from dataval.backend.layers import gradient_of

    for one in some[:, None]:
        f = arrays.to_numpy(gradient_of(arrays, outputs.at(replay.final, one), weights))
        whole = arrays.to_numpy(gradient_of(arrays, loss.at(replay.final, one), weights))
        term = outputs.terms(replay.final, one)
        np.testing.assert_allclose(-term * f, whole, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("shape", [(6, 4), (6, 1), (6,)])
def test_log_odds_and_their_gradient(shape):
    """Against a naive formula and central differences (step 1e-6, error of about 1e-10)."""
    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=shape), rng.integers(0, 2, 6)

    def naive(z):
        z = z.reshape(6, -1)
        z = np.concatenate([np.zeros_like(z), z], axis=1) if z.shape[1] == 1 else z
        p = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[np.arange(6), labels]
        return np.log(p / (1 - p))

    found, gradients = log_odds(outputs, labels)
    np.testing.assert_allclose(found, naive(outputs), rtol=1e-12)
    for at in np.ndindex(shape):
        step = np.zeros(shape)
        step[at] = 1e-6
        slope = (naive(outputs + step) - naive(outputs - step))[at[0]] / 2e-6
        assert gradients[at] == pytest.approx(slope, abs=1e-8)


def test_log_odds_of_a_certain_label_are_finite():
    found, gradients = log_odds(np.array([[1000.0, 0.0, 0.0]]), np.array([0]))
    np.testing.assert_allclose(found, 1000 - np.log(2))
    assert np.isfinite(gradients).all()


def test_what_can_not_be_asked_is_said_before_training(zoo, monkeypatch):
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    learner, samples = make_learner(zoo, MODEL), make_samples(MODEL)
    with pytest.raises(ValueError, match="with output='margin' leave it out"):
        dv.TRAK(learner, output="margin", objective=lambda outputs, _: outputs[:, 0]).fit(*samples)
    with pytest.raises(TypeError, match=r"run must be a dataval.TrainingRun or a list of such"):
        dv.TRAK(learner).fit(*samples, run=[3])
    many = make_learner(zoo, MODEL, loss="mse")
    with pytest.raises(InvalidDataError, match="one number a sample"):
        dv.TRAK(many).fit(samples.X, np.zeros((N, N_CLASSES)))


@pytest.mark.slow_on_tensorflow
def test_another_runs_training_is_refused(zoo):
    learner, samples, run = trained(zoo, MODEL)
    other = trained(zoo, MODEL, epochs=1)
    with pytest.raises(RunMismatchError, match="another training"):
        dv.TRAK(learner).fit(*samples, run=[run, other.run])


@pytest.mark.slow_on_tensorflow
def test_too_many_dimensions_without_damping_are_named(zoo):
    learner, samples, run = trained(zoo, "mlp")
    trak = dv.TRAK(learner, damping=0).fit(*samples, run=run)
    with pytest.raises(InvalidDataError, match="compress to fewer numbers than there are samples"):
        trak.score(*samples)
