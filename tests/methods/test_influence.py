"""Influence functions against closed forms, finite differences of refitted minima, and exact HyDRA."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.objectives.validation import ValidationObjective
from dataval.retraining.retrain import retrain
from dataval.solvers import Arnoldi, ConjugateGradient, LiSSA
from tests.runs import make_learner, make_samples, shared, trained

N, N_VAL, DECAY = 20, 8, 0.1

LONG = {
    "optimizer": dv.SGD(learning_rate=0.3, momentum=0.8, weight_decay=DECAY),
    "epochs": 400,
    "batch_size": N,
}
"""Full batches: the run reaches its minimum to 1e-14, as its slowest factor is below 0.9 an update."""

SOLVERS = {
    "cg": ConjugateGradient(tolerance=1e-9),
    "preconditioned": ConjugateGradient(tolerance=1e-9, preconditioner="fisher"),
    "lissa": LiSSA(tolerance=1e-9),
    "arnoldi": Arnoldi(rank=21, n_iterations=21),
}


class Convex:
    """A convex problem trained to its minimum: softmax or ridge regression."""

    def __init__(self, zoo, kind, weights=None):
        options = {"loss": "mse"} if kind == "ridge" else {}
        self.learner = make_learner(zoo, "softmax_regression", **LONG, **options)
        self.train, self.validation = make_samples("softmax_regression"), make_samples("mlp", N_VAL, seed=2)
        if kind == "ridge":
            rng = np.random.default_rng(3)
            self.train = self.train._replace(y=rng.normal(size=(N, 3)))
            self.validation = self.validation._replace(y=rng.normal(size=(N_VAL, 3)))
        self.weights = np.ones(N) if weights is None else weights
        self.run = self.learner.train(*self.train, self.weights)

    def influence(self, **options):
        settings = {"solver": "exact", "damping": 0.0} | options
        return dv.InfluenceFunction(self.learner, **settings).fit(*self.train, run=self.run)

    def values(self, **options):
        return self.influence(**options).score(*self.validation)


@shared
def convex_problem(zoo, kind):
    return Convex(zoo, kind)


@pytest.fixture(params=["softmax", "ridge"])
def convex(request, zoo):
    return convex_problem(zoo, request.param)


def assert_close(found, expected, tolerance):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def ridge_derivative(problem):
    """-dF/dw_j of the closed form, over inputs with a constant 1 for the bias, which decays as well."""
    X = np.column_stack([problem.train.X, np.ones(N)])
    X_val = np.column_stack([problem.validation.X, np.ones(N_VAL)])
    W = problem.weights[:, None]
    hessian = 2 / 3 / N * X.T @ (W * X) + DECAY * np.eye(7)
    minimum = np.linalg.solve(hessian, 2 / 3 / N * X.T @ (W * problem.train.y))
    slope = 2 / 3 / N_VAL * X_val.T @ (X_val @ minimum - problem.validation.y)
    pulled = np.linalg.solve(hessian, slope)
    return 2 / 3 / N * ((X @ pulled) * (X @ minimum - problem.train.y)).sum(axis=1)


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_regression_has_its_closed_form(zoo, curvature, weighted):
    weights = np.random.default_rng(0).uniform(0.5, 1.5, N) if weighted else None
    problem = Convex(zoo, "ridge", weights) if weighted else convex_problem(zoo, "ridge")
    # Both are solved densely in float64; the run is within 1e-12 of its minimum.
    assert_close(problem.values(curvature=curvature), ridge_derivative(problem), 1e-9)


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_equals_differences_of_the_refitted_minimum(convex, curvature):
    values = convex.values(curvature=curvature)
    replay = convex.learner.replay(*convex.train, convex.run)
    objective = ValidationObjective(replay.program.backend, as_data(*convex.validation), None)
    step, shifts = 1e-3, np.eye(N)
    weights = np.concatenate([1 + h * step * shifts for h in (1, -1, 2, -2)])
    found = retrain(replay.program, replay.initial, weights, objective, key="", progress=False, group_size=80)
    one, minus_one, two, minus_two = found.reshape(4, N)
    expected = -(8 * (one - minus_one) - (two - minus_two)) / (12 * step)
    # Fourth order: a truncation of 1e-12, and rounding of 1e-15 / 1e-3 against values of 1e-3.
    assert_close(values, expected, 1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_solvers_agree_with_the_exact_one(convex, solver, curvature):
    for damping in (0.0, 0.5):
        expected = convex.values(curvature=curvature, damping=damping)
        influence = convex.influence(solver=SOLVERS[solver], curvature=curvature, damping=damping)
        assert_close(influence.score(*convex.validation), expected, 1e-5)
        assert influence.diagnostics_["converged"]
        assert influence.diagnostics_["residuals"].max() < 1e-8


def test_exact_hydra_of_a_long_run_approaches_influence(convex):
    hydra = dv.HyDRA(convex.learner, hessian=True).fit(*convex.train, run=convex.run)
    assert_close(hydra.score(*convex.validation), convex.values(), 1e-8)


@pytest.mark.parametrize("batch_size", [6, 10])
@pytest.mark.parametrize("drop_last", [False, True])
def test_minibatches_have_the_minimum_that_is_differentiated(zoo, batch_size, drop_last):
    """At small rates the average update decides; a short last batch changes the sample's share."""
    options = {"optimizer": dv.SGD(learning_rate=0.05, weight_decay=DECAY), "epochs": 300}
    learner = make_learner(zoo, "softmax_regression", **options, batch_size=batch_size, drop_last=drop_last)
    samples, validation = make_samples(), make_samples("mlp", N_VAL, seed=2)
    hydra = dv.HyDRA(learner, hessian=True).fit(*samples)
    influence = dv.InfluenceFunction(learner, solver="exact", damping=0.0).fit(*samples, run=hydra.run_)
    exact, found = hydra.score(*validation), influence.score(*validation)
    # A learning rate of 0.05 leaves noise of some percent; the factors in question are 20 / 24 and more.
    assert found @ exact / (exact @ exact) == pytest.approx(1.0, abs=0.08 if drop_last else 0.03)


@pytest.mark.parametrize("solver", ["exact", *SOLVERS])
def test_more_test_samples_than_parameters(convex, solver):
    n = 2 * 21 + 3
    if convex.learner.loss == "mse":
        validation = make_samples("mlp", n, seed=5)._replace(y=np.random.default_rng(4).normal(size=(n, 3)))
    else:
        validation = make_samples("mlp", n, seed=5)
    influence = convex.influence(solver=SOLVERS.get(solver, solver))
    matrix = influence.attribute(*validation)
    assert matrix.shape == (n, N)
    assert (np.abs(matrix).max(axis=1) > 0).all()
    assert_close(matrix, convex.influence().attribute(*validation), 1e-5)
    assert_close(matrix.mean(axis=0), influence.score(*validation), 1e-7)


@pytest.fixture
def network(zoo):
    """A short run of a network, its samples and validation samples."""
    learner, samples, run = trained(zoo, "cnn_batch_norm")
    return learner, samples, make_samples("cnn_batch_norm", N_VAL, seed=2), run


def dense_system(zoo, curvature, damping):
    """The matrix and the gradients of the training and of the validation losses, all dense."""
    matrix, gradients, test_gradients = undamped_system(zoo, curvature)
    return matrix + damping * np.eye(len(matrix)), gradients, test_gradients


@shared
def undamped_system(zoo, curvature):
    learner, samples, run = trained(zoo, "cnn_batch_norm")
    validation = make_samples("cnn_batch_norm", N_VAL, seed=2)
    replay = learner.replay(*samples, run)
    backend, final = replay.program.backend, replay.final
    to_numpy = backend.arrays.to_numpy
    at = final.parameters, final.buffers
    batch = backend.batches(as_data(*samples)).take(np.arange(N))
    objective = backend.objective()
    product = objective.hessian_products if curvature == "hessian" else objective.gauss_newton_products
    eye, ones = (
        backend.arrays.from_numpy(np.eye(len(final.parameters))),
        np.full(N, 1 / 24),
    )  # four batches of 6
    matrix = to_numpy(product(*at, batch, backend.arrays.from_numpy(ones), eye))
    held_out = backend.batches(as_data(*validation)).take(np.arange(N_VAL))
    gradients = to_numpy(objective.rows(*at, batch)[0])
    test_gradients = to_numpy(objective.rows(*at, held_out)[0])
    return matrix, gradients, test_gradients


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_a_network_equals_the_dense_formula(zoo, network, curvature):
    learner, samples, validation, run = network
    matrix, gradients, test_gradients = dense_system(zoo, curvature, 2.0)
    expected = test_gradients @ np.linalg.solve(matrix, gradients.T) / 24
    options = {"curvature": curvature, "damping": 2.0, "solver": ConjugateGradient(tolerance=1e-10)}
    influence = dv.InfluenceFunction(learner, **options).fit(*samples, run=run)
    assert_close(influence.attribute(*validation), expected, 1e-8)
    assert influence.diagnostics_["residuals"].shape == (N_VAL,)
    assert_close(influence.score(*validation), expected.mean(axis=0), 1e-8)
    own = np.einsum("np,pn->n", gradients, np.linalg.solve(matrix, gradients.T)) / 24
    assert_close(influence.self_scores(), own, 1e-8)


@pytest.mark.parametrize("normalize", ["theta", "loss"])
def test_relative_influence(zoo, network, normalize):
    learner, samples, validation, run = network
    matrix, gradients, test_gradients = dense_system(zoo, "gauss_newton", 0.5)
    solved = np.linalg.solve(matrix, gradients.T).T
    norms = {
        "theta": np.linalg.norm(solved, axis=1),
        "loss": np.sqrt(np.einsum("np,np->n", gradients, solved)),
    }[normalize]
    options = {"damping": 0.5, "solver": "exact", "normalize": normalize}
    influence = dv.InfluenceFunction(learner, **options).fit(*samples, run=run)
    expected = test_gradients @ solved.T / 24 / norms
    assert_close(influence.attribute(*validation), expected, 1e-8)
    assert_close(influence.score(*validation), expected.mean(axis=0), 1e-8)


def test_identity_is_the_inner_product_and_normalised_the_cosine(zoo, network):
    learner, samples, validation, run = network
    _, gradients, test_gradients = dense_system(zoo, "gauss_newton", 0.0)
    plain = dv.InfluenceFunction(learner, solver="identity").fit(*samples, run=run)
    assert_close(plain.attribute(*validation), test_gradients @ gradients.T / 24, 1e-10)
    cosine = dv.InfluenceFunction(learner, solver="identity", normalize=True).fit(*samples, run=run)
    lengths = np.linalg.norm(gradients, axis=1), np.linalg.norm(test_gradients, axis=1)
    expected = test_gradients @ gradients.T / lengths[0] / lengths[1][:, None]
    assert_close(cosine.attribute(*validation), expected, 1e-10)
    mean = test_gradients.mean(axis=0)
    assert_close(cosine.score(*validation), gradients @ mean / lengths[0] / np.linalg.norm(mean), 1e-10)


@pytest.mark.filterwarnings("ignore:.*eigenvectors that Arnoldi keeps")
@pytest.mark.parametrize("solver", ["cg", "exact", "lissa", "arnoldi", "identity"])
def test_chunks_do_not_change_values(network, solver):
    learner, samples, validation, run = network
    found = []
    for chunk_size in (7, None):
        influence = dv.InfluenceFunction(learner, solver=solver, damping=2.0, chunk_size=chunk_size)
        influence.fit(*samples, run=run)
        found.append((influence.score(*validation), influence.attribute(*validation)))
    for score, matrix in found[1:]:
        assert_close(score, found[0][0], 1e-9)
        assert_close(matrix, found[0][1], 1e-9)


def test_decoupled_decay_is_no_part_of_the_matrix(zoo):
    samples, validation = make_samples(), make_samples("mlp", N_VAL, seed=2)
    values = []
    for optimizer in (dv.AdamW(weight_decay=0.3), dv.Adam(weight_decay=0.3)):
        learner = make_learner(zoo, optimizer=optimizer)
        influence = dv.InfluenceFunction(learner, solver="exact", damping=0.2).fit(*samples)
        values.append(influence.score(*validation))
        other = influence.set_params(damping=0.5).score(*validation)
        assert np.abs(other - values[-1]).max() > 0
    undamped = dv.InfluenceFunction(make_learner(zoo, optimizer=dv.AdamW(weight_decay=0.3)), damping=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dv.errors.SolverWarning)
        undamped.set_params(solver="exact").fit(*samples).score(*validation)
    assert undamped.diagnostics_["converged"] is False  # a softmax has a direction without curvature


def test_any_objective(convex):
    def objective(outputs, targets):
        return outputs[:, 0] ** 2

    influence = convex.influence(objective=objective)
    matrix = influence.attribute(*convex.validation)
    assert_close(matrix.mean(axis=0), influence.score(*convex.validation), 1e-10)
    assert np.abs(matrix - convex.influence().attribute(*convex.validation)).max() > 1e-4


def test_what_does_not_converge_warns(network):
    learner, samples, validation, run = network
    short = ConjugateGradient(tolerance=1e-8, max_iterations=2)
    influence = dv.InfluenceFunction(learner, solver=short).fit(*samples, run=run)
    with pytest.warns(dv.errors.SolverWarning, match="did not converge.*damping"):
        influence.score(*validation)
    assert influence.diagnostics_["iterations"] == 2
    assert influence.diagnostics_["converged"] is False
    assert influence.diagnostics_["residuals"][0] > 1e-8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "newton"}, "unknown solver"),
        ({"curvature": "fisher"}, "curvature must be"),
        ({"damping": -1.0}, "damping must be"),
        ({"damping": float("nan")}, "damping must be"),
        ({"normalize": "cosine"}, "normalize must be"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"solver": dv.solvers.Exact(max_parameters=5)}, "max_parameters=5"),
    ],
)
def test_nonsense_is_refused_before_training(zoo, options, message, monkeypatch):
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ValueError, match=message):
        dv.InfluenceFunction(make_learner(zoo), **options).fit(*make_samples())
