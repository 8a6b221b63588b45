"""The mean objective of validation samples, against NumPy and differences."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.data import as_data
from dataval.errors import InvalidDataError
from dataval.objectives.validation import ValidationObjective
from dataval.training.program import State
from tests.runs import make_learner, make_samples, shared

N_VAL = 9
SAMPLES = make_samples("mlp", N_VAL, seed=2)


@shared
def judged(zoo):
    """A backend, a state and the outputs for the validation samples."""
    program = make_learner(zoo).prepare(*make_samples()).program
    backend, state = program.backend, program.initial_state()
    batch = backend.batches(as_data(*SAMPLES)).take(np.arange(N_VAL))
    return backend, state, backend.arrays.to_numpy(backend.predict(state.parameters, state.buffers, batch))


def objective_of(zoo, function=None, **options):
    return ValidationObjective(judged(zoo)[0], as_data(*SAMPLES), function, **options)


def first_output(outputs, targets):
    return outputs[:, 0] ** 2


def product(outputs, targets):
    return outputs[0, 0] * outputs[8, 1]


def cross_entropies(outputs):
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(N_VAL), SAMPLES.y]


@pytest.mark.parametrize("chunk_size", [4, 500])
def test_value_is_the_mean(zoo, chunk_size):
    _, state, outputs = judged(zoo)
    for function, expected in [(None, cross_entropies(outputs)), (first_output, outputs[:, 0] ** 2)]:
        objective = objective_of(zoo, function, chunk_size=chunk_size)
        assert not objective.is_scalar
        assert float(objective.value(state)) == pytest.approx(expected.mean(), rel=1e-12)
        np.testing.assert_allclose(objective.values(state), expected, rtol=1e-12)


def test_one_number_is_of_all_samples_at_once(zoo):
    _, state, outputs = judged(zoo)
    objective = objective_of(zoo, product, chunk_size=4)
    assert objective.is_scalar
    assert float(objective.value(state)) == pytest.approx(outputs[0, 0] * outputs[8, 1], rel=1e-12)


@pytest.mark.parametrize("function", [None, first_output, product])
def test_gradient_equals_differences(zoo, function):
    backend, state, _ = judged(zoo)
    objective = objective_of(zoo, function, chunk_size=4)
    parameters = backend.arrays.to_numpy(state.parameters)
    direction = np.random.default_rng(0).normal(size=parameters.shape)

    def at(shift):
        moved = backend.arrays.from_numpy(parameters + shift * direction)
        return float(objective.value(State(moved, (), state.buffers)))

    h = 1e-4
    expected = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    found = backend.arrays.to_numpy(objective.gradient(state)[0])
    assert found @ direction == pytest.approx(expected, rel=1e-8)  # fourth order: rounding of 1e-16 / h


def test_gradients_of_samples_average_to_the_gradient(zoo):
    backend, state, _ = judged(zoo)
    objective, to_numpy = objective_of(zoo, chunk_size=4), backend.arrays.to_numpy
    rows = to_numpy(objective.gradients(state, np.arange(N_VAL))[0])
    np.testing.assert_allclose(rows.mean(axis=0), to_numpy(objective.gradient(state)[0]), rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        to_numpy(objective.gradients(state, np.array([5, 2]))[0]), rows[[5, 2]], atol=1e-14
    )


def test_a_leading_axis_is_many_states(zoo):
    backend, state, _ = judged(zoo)
    parameters = backend.arrays.to_numpy(state.parameters)
    rows = np.stack([parameters, 2 * parameters, -parameters])
    together = State(backend.arrays.from_numpy(rows), (), backend.arrays.from_numpy(np.zeros((3, 0))))
    objective = objective_of(zoo, chunk_size=4)
    each = [State(backend.arrays.from_numpy(row), (), state.buffers) for row in rows]
    np.testing.assert_allclose(objective.value(together), [objective.value(one) for one in each], rtol=1e-12)
    np.testing.assert_allclose(objective.values(together), [objective.values(one) for one in each], rtol=1e-12)


def test_what_fails_is_explained(zoo):
    with pytest.raises(InvalidDataError, match=r"returned shape \(9, 3\) for 9 samples"):
        objective_of(zoo, lambda outputs, targets: outputs**2)
    with pytest.raises(InvalidDataError, match="failed on the first validation samples"):
        objective_of(zoo, lambda outputs, targets: outputs.no_such_thing)
