"""Exact hypergradients against finite differences of whole training runs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import dataval as dv
from dataval.data import as_data
from dataval.objectives.validation import ValidationObjective
from tests.runs import BATCH_NORM, crossed, shared_model
from tests.zoo.data import samples_for

N, N_VAL, N_CHECKED = 21, 8, 5

TRAININGS = {
    "sgd": {"optimizer": dv.SGD(learning_rate=0.1)},
    "momentum": {"optimizer": dv.SGD(learning_rate=0.1, momentum=0.9)},
    "decay": {"optimizer": dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.02)},
    "nesterov": {"optimizer": dv.SGD(learning_rate=0.1, momentum=0.8, nesterov=True, weight_decay=0.01)},
    "dampening": {"optimizer": dv.SGD(learning_rate=0.1, momentum=0.9, dampening=0.3)},
    "adam": {"optimizer": dv.Adam(learning_rate=0.01, weight_decay=0.01)},
    "adamw": {"optimizer": dv.AdamW(learning_rate=0.01, weight_decay=0.1)},
    "schedule_and_clipping": {
        "optimizer": dv.SGD(learning_rate=0.2, momentum=0.9, weight_decay=0.01),
        "schedule": dv.CosineSchedule(warmup_steps=3),
        "clip_norm": 0.5,
    },
    "adamw_schedule_and_clipping": {
        "optimizer": dv.AdamW(learning_rate=0.02, weight_decay=0.1),
        "schedule": dv.StepSchedule(every_epochs=2, gamma=0.5),
        "clip_norm": 0.5,
    },
}
MODELS = ["mlp", "cnn_batch_norm", "transformer"]


def validation_loss(learner, samples, weights, validation, objective=None):
    run = learner.train(*samples, weights)
    replay = learner.replay(*samples, run)
    measure = ValidationObjective(replay.program.backend, as_data(*validation), objective)
    return float(measure.value(replay.final))


def finite_differences(learner, samples, validation, indices, step=1e-4, objective=None):
    """Fourth-order central differences of minus the validation loss in single weights."""

    def value_at(j: int, shift: float) -> float:
        weights = np.ones(len(samples.y))
        weights[j] += shift
        return -validation_loss(learner, samples, weights, validation, objective)

    def derivative(j: int) -> float:
        inner = value_at(j, step) - value_at(j, -step)
        outer = value_at(j, 2 * step) - value_at(j, -2 * step)
        return (8 * inner - outer) / (12 * step)

    return np.array([derivative(j) for j in indices])


def make(zoo, model, **training):
    settings = {"epochs": 3, "batch_size": 6, "seed": 1} | training
    learner = dv.Learner(shared_model(zoo, model), training=dv.Training(**settings), progress=False)
    return learner, samples_for(model, N, seed=1), samples_for(model, N_VAL, seed=2)


def relative_error(found: NDArray, expected: NDArray) -> float:
    return float(np.max(np.abs(found - expected) / np.abs(expected)))


@pytest.mark.parametrize(
    ("model", "training"), crossed(MODELS, TRAININGS, always=("mlp", "adamw_schedule_and_clipping"))
)
def test_values_equal_finite_differences(zoo, model, training):
    learner, samples, validation = make(zoo, model, **TRAININGS[training])
    values = dv.HyDRA(learner, hessian=True).fit(*samples).score(*validation)
    chosen = np.argsort(-np.abs(values))[:: N // N_CHECKED][:N_CHECKED]
    expected = finite_differences(learner, samples, validation, chosen)
    # Differences of fourth order with a step of 1e-4 are good to about 1e-11 absolutely, and these values
    # are not below 1e-5.
    assert relative_error(values[chosen], expected) <= 1e-5


LSTM = pytest.param("lstm", marks=pytest.mark.slow_on_tensorflow)


@pytest.mark.parametrize("model", ["cnn_max_pool", "dropout", "layer_norm", LSTM])
def test_other_layers_equal_finite_differences(zoo, model):
    learner, samples, validation = make(zoo, model, **TRAININGS["decay"])
    values = dv.HyDRA(learner, hessian=True).fit(*samples).score(*validation)
    chosen = np.argsort(-np.abs(values))[:N_CHECKED]
    # A small step keeps max-pooling and ReLU on the same side of their kinks.
    expected = finite_differences(learner, samples, validation, chosen, step=1e-5)
    assert relative_error(values[chosen], expected) <= 1e-5


def test_weighted_run_is_differentiated_where_it_was_trained(zoo):
    learner, samples, validation = make(zoo, "mlp", **TRAININGS["decay"])
    weights = np.random.default_rng(0).uniform(0, 2, N)
    run = learner.train(*samples, weights)
    values = dv.HyDRA(learner, hessian=True).fit(*samples, run=run).score(*validation)

    def shifted(j, shift):
        moved = weights.copy()
        moved[j] += shift
        return validation_loss(learner, samples, moved, validation)

    for j in range(N_CHECKED):
        expected = -(shifted(j, 1e-5) - shifted(j, -1e-5)) / 2e-5
        assert values[j] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["per_sample", "scalar"])
@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm"])
def test_any_objective(zoo, model, kind):
    """Mean squared logit, by samples or as one number that is no mean over samples."""

    def per_sample(outputs, targets):
        return (outputs**2 + outputs)[:, 0]

    def scalar(outputs, targets):
        return (outputs[0, 0] * outputs[-1, 1]) ** 2 + outputs[2, 0]

    objective = {"per_sample": per_sample, "scalar": scalar}[kind]
    learner, samples, validation = make(zoo, model, **TRAININGS["decay"])
    hydra = dv.HyDRA(learner, hessian=True, objective=objective).fit(*samples)
    values = hydra.score(*validation)
    chosen = np.argsort(-np.abs(values))[:N_CHECKED]
    expected = finite_differences(learner, samples, validation, chosen, step=1e-4, objective=objective)
    assert relative_error(values[chosen], expected) <= 1e-5
    if kind == "scalar":
        with pytest.raises(TypeError, match="single number"):
            hydra.attribute(*validation)


@pytest.mark.parametrize("hessian", [False, True])
@pytest.mark.parametrize("training", ["decay", "adamw_schedule_and_clipping"])
@pytest.mark.parametrize("model", ["mlp", BATCH_NORM])
def test_rows_of_attribute_are_scores_of_single_samples(zoo, model, training, hessian):
    learner, samples, validation = make(zoo, model, **TRAININGS[training])
    hydra = dv.HyDRA(learner, hessian=hessian).fit(*samples)
    matrix = hydra.attribute(*validation)
    assert matrix.shape == (N_VAL, N)
    assert matrix.dtype == np.float64
    scale = np.abs(matrix).max()
    # The same arithmetic in another order: rounding of float64 over 12 updates.
    np.testing.assert_allclose(matrix.mean(axis=0), hydra.score(*validation), atol=1e-10 * scale)
    for i in (0, N_VAL - 1):
        row = hydra.score(validation.X[i : i + 1], validation.y[i : i + 1])
        np.testing.assert_allclose(matrix[i], row, atol=1e-10 * scale)


def test_values_have_the_sign_of_removal(zoo):
    """A sample that repeats a validation sample helps; the same with a wrong label hurts."""
    learner, samples, _ = make(zoo, "softmax_regression", optimizer=dv.SGD(learning_rate=0.3))
    X, y = samples.X.copy(), samples.y.copy()
    X[1], y[1] = X[0], (y[0] + 1) % 3
    values = dv.HyDRA(learner, hessian=True).fit(X, y).score(X[:1], y[:1])
    assert values[0] > 0 > values[1]
    keep = np.ones(N)
    keep[1] = 0
    full = validation_loss(learner, type(samples)(X, y), np.ones(N), (X[:1], y[:1]))
    without = validation_loss(learner, type(samples)(X, y), keep, (X[:1], y[:1]))
    assert without < full


def test_signs_have_no_derivative(zoo):
    """Of a sample's gradient nothing reaches the parameters: all values are 0, and nobody is left to wonder."""
    learner, samples, validation = make(zoo, "mlp", optimizer=dv.Lion(learning_rate=0.01), epochs=1)
    with pytest.warns(UserWarning, match="Lion moves by signs, whose derivative is 0: so are all values"):
        hydra = dv.HyDRA(learner).fit(*samples)
    np.testing.assert_array_equal(hydra.score(*validation), 0)
