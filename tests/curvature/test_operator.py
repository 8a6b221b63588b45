"""The curvature as a matrix, against sums over single samples."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.curvature.operator import Curvature, sample_scale
from dataval.objectives.training import TrainingSamples
from tests.runs import N, make_learner, make_samples, shared

DECAY, DAMPING = 0.3, 0.2
WEIGHTS = np.linspace(0.5, 1.5, N)


@shared
def problem(zoo):
    """A program under weights, its first state, and dense matrices by single samples: (N, P, P) each."""
    learner = make_learner(zoo, "softmax_regression", optimizer=dv.SGD(learning_rate=0.1, weight_decay=DECAY))
    program = learner.prepare(*make_samples("softmax_regression"), WEIGHTS).program
    state = program.initial_state()
    arrays, objective = program.backend.arrays, program.backend.objective()
    eye, one = np.eye(program.backend.signature.n_parameters), arrays.from_numpy(np.ones(1))
    matrices = {
        kind: np.stack(
            [
                _of_sample(getattr(objective, f"{kind}_products"), arrays, program, state, eye, one, j)
                for j in range(N)
            ]
        )
        for kind in ("hessian", "gauss_newton")
    }
    return program, state, matrices


def _of_sample(product, arrays, program, state, eye, one, j):
    batch = program.batches.take(np.array([j]))
    return arrays.to_numpy(product(state.parameters, state.buffers, batch, one, arrays.from_numpy(eye)))


@pytest.mark.parametrize("chunk_size", [None, 7])
@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_equals_the_sum_over_samples(zoo, kind, chunk_size):
    program, state, matrices = problem(zoo)
    counted = []
    samples = TrainingSamples(program, state, chunk_size)
    curvature = Curvature(samples, program, kind, DAMPING, counted.append)
    scale = 1 / 24  # an epoch has four batches of 6, the last of them short
    assert sample_scale(program) == pytest.approx(scale, rel=1e-15)
    expected = scale * np.einsum("n,npq->pq", WEIGHTS, matrices[kind]) + (DECAY + DAMPING) * np.eye(21)
    found = curvature(np.eye(21))
    # The same sums in another order.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert curvature.size == 21
    assert counted == [21]
    np.testing.assert_allclose(curvature(np.eye(21)[:1]), expected[:1], rtol=0, atol=1e-12)


def test_softmax_regression_has_one_matrix(zoo):
    """The outputs are linear in the parameters, so nothing is missing in Gauss and Newton's."""
    _, _, matrices = problem(zoo)
    np.testing.assert_allclose(matrices["hessian"], matrices["gauss_newton"], rtol=0, atol=1e-13)
    assert np.abs(matrices["hessian"]).max() > 0.1


def test_fisher_diagonal(zoo):
    program, state, _ = problem(zoo)
    samples = TrainingSamples(program, state)
    gradients = samples.gradients(np.arange(N))
    expected = WEIGHTS @ gradients**2 / 24 + DECAY + DAMPING
    found = Curvature(samples, program, "gauss_newton", DAMPING).fisher_diagonal()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_without_a_short_batch_the_scale_is_one_over_n(zoo):
    program = make_learner(zoo, "softmax_regression", batch_size=5).prepare(*make_samples()).program
    assert sample_scale(program) == pytest.approx(1 / N, rel=1e-15)
