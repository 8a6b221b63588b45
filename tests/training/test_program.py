"""One update and its pullback, against differences of updates."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.training.program import State
from tests.runs import N, make_learner, make_samples, shared, trained

STEP = 5
OPTIONS = {
    "momentum": {"optimizer": dv.SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.02)},
    "clipped": {"optimizer": dv.SGD(learning_rate=0.1, momentum=0.9), "clip_norm": 0.1},
    "adam": {"optimizer": dv.Adam(learning_rate=0.01)},
}


@shared
def program_at(zoo, kind):
    """A program and the state before update number STEP."""
    learner, samples, run = trained(zoo, "mlp", **OPTIONS[kind])
    replay = learner.replay(*samples, run)
    return replay.program, replay.at(STEP)


def numpy_of(program, state):
    return [program.backend.arrays.to_numpy(array) for array in state.arrays()]


def state_of(program, arrays):
    parameters, *slots, buffers = map(program.backend.arrays.from_numpy, arrays)
    return State(parameters, tuple(slots), buffers)


def drawn(program, state, *lead):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(*lead, *array.shape)) for array in numpy_of(program, state)]


@pytest.mark.parametrize("kind", OPTIONS)
def test_pullback_equals_differences_of_the_update(zoo, kind):
    program, state = program_at(zoo, kind)
    bars, directions = drawn(program, state), drawn(program, state)
    batch = program.plan.batch(STEP)
    of_weights = np.zeros(N)
    of_weights[batch] = np.random.default_rng(3).normal(size=len(batch))
    h = 1e-6 if kind == "adam" else 1e-5  # Adam's second moments are squares of gradients: small numbers

    def moved(shift):
        arrays = [a + shift * d for a, d in zip(numpy_of(program, state), scaled, strict=True)]
        after, _ = program.with_weights(program.weights + shift * of_weights).step(
            state_of(program, arrays), STEP
        )
        return sum(float(bar @ found) for bar, found in zip(bars, numpy_of(program, after), strict=True))

    scaled = [
        d * (np.abs(a).max() if a.size else 1.0)
        for a, d in zip(numpy_of(program, state), directions, strict=True)
    ]
    if kind == "adam":
        scaled[2] = np.abs(scaled[2]) * 0  # a second moment moves relative to itself: not along with the others
    before, slopes = program.pullback(state_of(program, bars), state, STEP)
    found = sum(float(bar @ d) for bar, d in zip(numpy_of(program, before), scaled, strict=True))
    found += float(program.backend.arrays.to_numpy(slopes) @ of_weights[batch])
    inner, outer = moved(h) - moved(-h), moved(2 * h) - moved(-2 * h)
    # Fourth order: rounding of 1e-16 / h decides.
    assert found == pytest.approx((8 * inner - outer) / (12 * h), rel=1e-6)


@pytest.mark.parametrize("pullback", ["pullback", "pullback_hessian_free"])
def test_many_cotangents_are_pulled_back_one_by_one(zoo, pullback):
    program, state = program_at(zoo, "momentum")
    bars = drawn(program, state, 3)
    together = getattr(program, pullback)(state_of(program, bars), state, STEP)
    for k in range(3):
        before, slopes = getattr(program, pullback)(state_of(program, [bar[k] for bar in bars]), state, STEP)
        to_numpy = program.backend.arrays.to_numpy
        # Batched products sum in another order.
        np.testing.assert_allclose(to_numpy(together[1])[k], to_numpy(slopes), rtol=1e-10, atol=1e-12)
        for all_found, one in zip(numpy_of(program, together[0]), numpy_of(program, before), strict=True):
            if one.size:
                np.testing.assert_allclose(all_found[k], one, rtol=1e-10, atol=1e-12)


def test_coefficients_are_the_hessian_free_recursion_on_numbers(zoo):
    program, state = program_at(zoo, "momentum")
    received, carried = program.coefficients()
    assert program.is_linear
    assert not program_at(zoo, "clipped")[0].is_linear
    bar = drawn(program, state)[0]
    to_numpy = program.backend.arrays.to_numpy
    cotangent = state_of(program, [bar, np.zeros_like(bar), np.zeros(0)])
    for step in reversed(range(program.plan.n_steps)):
        cotangent, slopes = program.pullback_hessian_free(cotangent, state, step)
        own = to_numpy(program.slopes(program.backend.arrays.from_numpy(bar), state, step))
        np.testing.assert_allclose(to_numpy(slopes), received[step] * own, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(to_numpy(cotangent.parameters), carried[step] * bar, rtol=1e-12)


def test_weights_are_divided_by_the_nominal_batch_size(zoo):
    program, _ = program_at(zoo, "momentum")
    weights = np.random.default_rng(0).uniform(size=(2, N))
    found = program.backend.arrays.to_numpy(program.with_weights(weights).passes.scaled_weights(3))
    batch = program.plan.batch(3)
    assert len(batch) == 2  # the short last one
    np.testing.assert_allclose(found, weights[:, batch] / 6, rtol=1e-15)


def test_losses_are_those_of_the_step(zoo):
    program, state = program_at(zoo, "momentum")
    to_numpy = program.backend.arrays.to_numpy
    np.testing.assert_array_equal(to_numpy(program.losses(state, STEP)), to_numpy(program.step(state, STEP)[1]))


def test_loading_takes_numpy_and_keeps_what_is_the_frameworks(zoo):
    program, state = program_at(zoo, "momentum")
    arrays = numpy_of(program, state)
    loaded = program.load(State(arrays[0], tuple(arrays[1:-1]), arrays[-1]))
    for left, right in zip(numpy_of(program, loaded), arrays, strict=True):
        np.testing.assert_array_equal(left, right)
    assert program.load(state).parameters is state.parameters


def test_a_run_starts_with_slots_of_zeros(zoo):
    program = make_learner(zoo).prepare(*make_samples()).program
    state = program.initial_state()
    np.testing.assert_array_equal(program.backend.arrays.to_numpy(state.slots[0]), 0)
