"""HyDRA with the Gauss-Newton matrix in place of the Hessian, against a recursion of dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

import dataval as dv
from dataval.data import as_data
from dataval.errors import InvalidModelError, NotTwiceDifferentiableError
from dataval.objectives.validation import ValidationObjective
from dataval.testing import central
from tests.runs import BATCH_NORM, DROPOUT, shared_model
from tests.zoo.data import samples_for

N, N_VAL, SIZE = 13, 6, 6  # a short last batch
OPTIMIZERS = {
    "momentum": dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.02),
    "adam": dv.Adam(learning_rate=0.01, weight_decay=0.01),
}
_STEP = 1e-30  # of complex differentiation, which rounds nothing


@pytest.fixture
def torch_zoo():
    """The models of PyTorch, where it is installed."""
    return pytest.importorskip("tests.zoo.torch_models")


def learner_of(zoo, model, optimizer, **settings):
    training = dv.Training(**{"epochs": 2, "batch_size": SIZE, "seed": 1, "optimizer": optimizer} | settings)
    return dv.Learner(shared_model(zoo, model), training=training, progress=False)


def gauss_newton_matrix(backend, parameters, buffers, batch) -> NDArray:
    """J by central differences of the outputs; the Hessian of cross-entropy is diag(p) - p p'."""
    arrays = backend.arrays
    start = arrays.to_numpy(parameters)

    def outputs(point):
        return arrays.to_numpy(backend.predict(arrays.from_numpy(point), buffers, batch))

    jacobian = np.stack([central(lambda h, e=e: outputs(start + h * e)) for e in np.eye(len(start))], axis=-1)
    p = np.exp(outputs(start))
    p /= p.sum(1, keepdims=True)
    bends = np.einsum("nc,cd->ncd", p, np.eye(p.shape[1])) - np.einsum("nc,nd->ncd", p, p)
    return np.einsum("ncp,ncd,ndq->pq", jacobian, bends, jacobian, optimize=True)


def reference(learner, samples, validation) -> NDArray:
    """Carry the derivative of the state in every weight forward through every update."""
    replay = learner.replay(*samples, learner.train(*samples))
    program, backend = replay.program, replay.program.backend
    optimizer, to_numpy = program.training.optimizer, backend.arrays.to_numpy
    moved = np.zeros((N, backend.signature.n_parameters))
    moved_slots = (moved,) * optimizer.n_slots
    for step, state in replay.forward():
        members = program.plan.batch(step)
        batch, c = program.batches.take(members), 1 / SIZE
        matrix = c * gauss_newton_matrix(backend, state.parameters, state.buffers, batch)
        gradient_moved = moved @ matrix
        rows = to_numpy(backend.loss.rows(state.parameters, state.buffers, batch, 0))
        np.add.at(gradient_moved, members, c * rows)
        gradient = to_numpy(program.gradient(state, step)[1])
        after, slots = optimizer.update(
            to_numpy(state.parameters) + 1j * _STEP * moved,
            tuple(to_numpy(s) + 1j * _STEP * m for s, m in zip(state.slots, moved_slots, strict=True)),
            gradient + 1j * _STEP * gradient_moved,
            program.update.factors(step),
        )
        moved, moved_slots = after.imag / _STEP, tuple(s.imag / _STEP for s in slots)
    measure = ValidationObjective(backend, as_data(*validation), None)
    return -moved @ to_numpy(measure.gradient(replay.final)[0])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_values_equal_a_recursion_of_dense_matrices(zoo, optimizer):
    learner = learner_of(zoo, "mlp", OPTIMIZERS[optimizer])
    samples, validation = samples_for("mlp", N, seed=1), samples_for("mlp", N_VAL, seed=2)
    expected = reference(learner, samples, validation)
    hydra = dv.HyDRA(learner, curvature="gauss_newton").fit(*samples)
    found = hydra.score(*validation)
    # Central differences of outputs are good to 1e-10 or so.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    others = [
        dv.HyDRA(learner, curvature=c).fit(*samples, run=hydra.run_).score(*validation)
        for c in ("exact", "none")
    ]
    for other in others:
        assert np.abs(other - found).max() > 1e-3 * np.abs(found).max()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_is_exact_where_outputs_are_linear_in_the_parameters(zoo, optimizer):
    learner = learner_of(zoo, "softmax_regression", OPTIMIZERS[optimizer], clip_norm=0.5)
    samples = samples_for("softmax_regression", N, seed=1)
    validation = samples_for("softmax_regression", N_VAL, seed=2)
    exact = dv.HyDRA(learner, curvature="exact").fit(*samples)
    expected = exact.attribute(*validation)
    found = dv.HyDRA(learner, curvature="gauss_newton").fit(*samples, run=exact.run_).attribute(*validation)
    # The same matrix applied in another order.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("model", [BATCH_NORM, DROPOUT])
def test_rows_of_attribute_are_scores_of_single_samples(zoo, model):
    learner = learner_of(zoo, model, OPTIMIZERS["momentum"])
    samples, validation = samples_for(model, N, seed=1), samples_for(model, N_VAL, seed=2)
    hydra = dv.HyDRA(learner, curvature="gauss_newton").fit(*samples)
    matrix = hydra.attribute(*validation)
    scale = np.abs(matrix).max()
    # The same arithmetic in another order.
    np.testing.assert_allclose(matrix.mean(axis=0), hydra.score(*validation), rtol=0, atol=1e-10 * scale)
    row = hydra.score(validation.X[:1], validation.y[:1])
    np.testing.assert_allclose(matrix[0], row, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize(
    ("hessian", "curvature", "same_as"),
    [
        (True, None, "exact"),
        (False, None, "none"),
        (None, None, "none"),
        (True, "exact", "exact"),
        (False, "none", "none"),
    ],
)
def test_hessian_says_the_same_as_curvature(zoo, hessian, curvature, same_as):
    learner = learner_of(zoo, "mlp", OPTIMIZERS["momentum"], epochs=1)
    samples = samples_for("mlp", N, seed=1)
    hydra = clone(dv.HyDRA(learner, hessian=hessian, curvature=curvature))
    assert (hydra.hessian, hydra.curvature) == (hessian, curvature)
    found = hydra.fit(*samples).score(*samples)
    expected = dv.HyDRA(learner, curvature=same_as).fit(*samples).score(*samples)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hessian": True, "curvature": "none"}, "hessian=True is curvature='exact', which contradicts"),
        (
            {"hessian": False, "curvature": "gauss_newton"},
            "hessian=False is curvature='none', which contradicts",
        ),
        ({"curvature": "hessian"}, "curvature must be 'exact', 'gauss_newton' or 'none', got 'hessian'"),
    ],
)
def test_contradictions_are_refused(zoo, given, message):
    learner = learner_of(zoo, "mlp", OPTIMIZERS["momentum"])
    with pytest.raises(ValueError, match=message):
        dv.HyDRA(learner, **given).fit(*samples_for("mlp", N))


def refused(zoo, loss, error, message):
    samples = samples_for("mlp", N)
    learner = dv.Learner(zoo.mlp(), loss=loss, training=dv.Training(batch_size=SIZE), progress=False)
    with pytest.raises(error, match=message):
        dv.HyDRA(learner, curvature="gauss_newton").fit(*samples)


def test_a_loss_without_curvature_in_the_outputs_is_refused(zoo):
    """It would give Hessian-free values, at a higher cost."""
    refused(
        zoo,
        lambda outputs, targets: outputs[:, 0] - outputs[:, 1],
        NotTwiceDifferentiableError,
        "no second derivative in the model's outputs.*curvature='none' gives the same",
    )


def test_a_loss_with_something_detached_is_refused(torch_zoo):
    refused(
        torch_zoo,
        lambda outputs, targets: outputs.detach()[:, 0] * outputs[:, 1] ** 2,
        NotTwiceDifferentiableError,
        "losses .* differ from their differences: something is detached",
    )


def test_outputs_that_are_no_array_are_refused(torch_zoo):
    class Pair(type(torch_zoo.mlp())):
        def forward(self, inputs):
            return {"logits": super().forward(inputs)}

    pair = Pair(*torch_zoo.mlp())
    samples = samples_for("mlp", N)

    def loss(outputs, targets):
        return outputs["logits"][:, 0] ** 2

    learner = dv.Learner(pair, loss=loss, training=dv.Training(batch_size=SIZE), progress=False)
    with pytest.raises(InvalidModelError, match="Gauss-Newton matrix needs a model that returns a tensor"):
        dv.HyDRA(learner, curvature="gauss_newton").fit(*samples)
