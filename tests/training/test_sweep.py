"""Sweeps over a linear recursion in NumPy, whose derivatives are products of matrices."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import dataval as dv
from dataval.backend.arrays import Arrays
from dataval.training.plan import make_plan
from dataval.training.program import State
from dataval.training.sweep import BackwardSweep, ForwardSweep

N, P = 7, 3


class Recursion:
    """theta <- A_t theta + sum_j w_j g_tj over the batch: a replay, and the pullback of its updates."""

    def __init__(self, n_epochs=40, scale=0.6):
        self.plan = make_plan(
            dv.Training(epochs=n_epochs, batch_size=3), N
        )  # 3 updates an epoch: beyond a flush
        rng = np.random.default_rng(0)
        self.matrices = scale * rng.normal(size=(self.plan.n_steps, P, P))
        self.gradients = rng.normal(size=(self.plan.n_steps, N, P))
        self.run = SimpleNamespace(plan=self.plan, n_steps=self.plan.n_steps, n_samples=N)
        self.program = SimpleNamespace(backend=SimpleNamespace(arrays=Arrays()), weights=np.ones(N))

    def backward(self, before):
        return ((step, None) for step in reversed(range(before)))

    def forward(self, first):
        return ((step, None) for step in range(first, self.plan.n_steps))

    def pullback(self, cotangent, state, step):
        bar = cotangent.parameters
        slopes = bar @ self.gradients[step][self.plan.batch(step)].T
        return State(bar @ self.matrices[step], (), cotangent.buffers), slopes

    def derivatives(self):
        """Of the last theta in every weight, carried forward, shape (N, P)."""
        tangents = np.zeros((N, P))
        for step in range(self.plan.n_steps):
            tangents = tangents @ self.matrices[step].T
            batch = self.plan.batch(step)
            tangents[batch] += self.gradients[step][batch]
        return tangents


def start(*shape):
    return State(np.random.default_rng(1).normal(size=shape), (), np.zeros((*shape[:-1], 0)))


@pytest.mark.parametrize("lead", [(), (4,)])
def test_backward_is_minus_the_derivative(lead):
    replay, cotangent, ticks = Recursion(), start(*lead, P), []
    found = BackwardSweep(replay, cotangent, replay.pullback).carry_out(lambda: ticks.append(1))
    expected = -cotangent.parameters @ replay.derivatives().T
    # The same products of matrices from the other end: rounding of float64.
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert len(ticks) == replay.plan.n_steps
    assert found.stopped_at == -1


def test_norms_are_those_of_the_largest_cotangent():
    replay, cotangent = Recursion(n_epochs=2), start(4, P)
    norms = BackwardSweep(replay, cotangent, replay.pullback).carry_out(list).cotangent_norm
    bars = cotangent.parameters
    for step in reversed(range(replay.plan.n_steps)):
        assert norms[step + 1] == pytest.approx(np.linalg.norm(bars, axis=1).max(), rel=1e-12)
        bars = bars @ replay.matrices[step]
    assert norms[0] == pytest.approx(np.linalg.norm(bars, axis=1).max(), rel=1e-12)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_an_overflow_stops_the_sweep_and_leaves_no_values():
    replay = Recursion(scale=1e9)  # beyond 1e308, and their squares beyond 1e154, after some dozen updates
    found = BackwardSweep(replay, start(P), replay.pullback).carry_out(list)
    assert np.isnan(found.values).all()
    at = found.stopped_at
    assert 0 < at < replay.plan.n_steps
    assert np.isfinite(found.cotangent_norm[at + 1])
    assert not np.isfinite(found.cotangent_norm[at])


def test_forward_weighs_slopes_by_what_each_update_received():
    replay, vectors = Recursion(n_epochs=30), start(2, P).parameters
    received = np.random.default_rng(2).normal(size=replay.plan.n_steps)
    received[::3] = 0
    carried = np.linspace(2, -1, replay.plan.n_steps + 1)

    def slopes(found, state, step):
        assert received[step] != 0, "what received nothing need not be differentiated"
        return found @ replay.gradients[step][replay.plan.batch(step)].T

    replay.program = SimpleNamespace(
        backend=replay.program.backend,
        weights=np.ones(N),
        slopes=slopes,
        coefficients=lambda: (received, carried),
    )
    found = ForwardSweep(replay, vectors).carry_out(list)
    expected = np.zeros((2, N))
    for step in range(replay.plan.n_steps):
        for j in replay.plan.batch(step):
            expected[:, j] -= received[step] * vectors @ replay.gradients[step, j]
    np.testing.assert_allclose(found.values, expected, rtol=1e-12, atol=1e-12)  # the same sums, vectorised
    longest = np.linalg.norm(vectors, axis=1).max()
    np.testing.assert_allclose(found.cotangent_norm, np.abs(carried) * longest, rtol=1e-14)


@pytest.mark.parametrize("at", [0, 1, 7])
def test_an_interrupted_sweep_goes_on_where_it_stopped(at):
    """To the bit, as the same sums are formed in the same order."""
    replay, ticks = Recursion(n_epochs=4), []

    def interrupted():
        ticks.append(1)
        if len(ticks) == at + 1:
            raise KeyboardInterrupt

    def sweeps():
        return BackwardSweep(replay, start(2, P), replay.pullback), forward_sweep(replay)

    for sweep, whole in zip(sweeps(), sweeps(), strict=True):
        ticks.clear()
        with pytest.raises(KeyboardInterrupt):
            sweep.carry_out(interrupted)
        assert sweep.n_done == at + 1
        found, expected = sweep.carry_out(lambda: ticks.append(1)), whole.carry_out(list)
        assert len(ticks) == replay.plan.n_steps
        np.testing.assert_array_equal(found.values, expected.values)
        np.testing.assert_array_equal(found.cotangent_norm, expected.cotangent_norm)


def forward_sweep(replay):
    received, carried = np.ones(replay.plan.n_steps), np.ones(replay.plan.n_steps + 1)
    replay.program = SimpleNamespace(
        backend=replay.program.backend,
        weights=np.ones(N),
        slopes=lambda found, state, step: found @ replay.gradients[step][replay.plan.batch(step)].T,
        coefficients=lambda: (received, carried),
    )
    return ForwardSweep(replay, start(2, P).parameters)
