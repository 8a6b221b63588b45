"""Training samples one by one: every answer from their gradients, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.objectives.training import TrainingSamples
from tests.runs import N, make_samples, shared, trained


@shared
def samples_at_the_end(zoo, model, chunk_size):
    learner, samples, run = trained(zoo, model)
    replay = learner.replay(*samples, run)
    return TrainingSamples(replay.program, replay.final, chunk_size)


@shared
def gradients_one_by_one(zoo, model):
    """Of every sample on its own, shape (N, P): running statistics are held fixed."""
    learner, (X, y), run = trained(zoo, model)
    final = learner.replay(X, y, run).final
    backend = run.binding.program.backend
    batches = backend.batches(run.binding.program.data)
    rows = [
        backend.objective().gradient(final.parameters, final.buffers, batches.take(np.array([j])))[0]
        for j in range(N)
    ]
    return np.stack([backend.arrays.to_numpy(row) for row in rows])


@pytest.mark.parametrize("chunk_size", [None, 7])
@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm"])
def test_answers_are_those_of_gradients_one_by_one(zoo, model, chunk_size):
    samples, rows = samples_at_the_end(zoo, model, chunk_size), gradients_one_by_one(zoo, model)
    scale = np.abs(rows).max()
    assert (samples.n, samples.n_parameters) == rows.shape
    # The same sums in another order.
    np.testing.assert_allclose(samples.gradients(np.arange(N)), rows, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(samples.squared_norms(), (rows**2).sum(axis=1), rtol=1e-11)
    for n_vectors in (1, 5):
        vectors = np.random.default_rng(0).normal(size=(n_vectors, rows.shape[1]))
        found = samples.slopes(vectors)
        np.testing.assert_allclose(found, vectors @ rows.T, rtol=0, atol=1e-11 * np.abs(found).max())


def test_products_of_many_vectors_are_those_of_each(zoo):
    samples, weights = samples_at_the_end(zoo, "mlp", 7), np.linspace(0, 1, N)
    vectors = np.random.default_rng(0).normal(size=(3, samples.n_parameters))
    for kind in ("hessian", "gauss_newton"):
        found = samples.weighted_product(kind, weights, vectors)
        each = [samples.weighted_product(kind, weights, vector[None])[0] for vector in vectors]
        np.testing.assert_allclose(found, each, rtol=0, atol=1e-12 * np.abs(found).max())


def test_chunks_cover_all_samples_once(zoo):
    samples = samples_at_the_end(zoo, "mlp", 7)
    assert [len(chunk) for chunk in samples.chunks()] == [7, 7, 6]
    assert [len(chunk) for chunk in samples.chunks(n_vectors=2000)] == [2] * 10
    np.testing.assert_array_equal(np.concatenate(list(samples.chunks())), np.arange(N))
    assert len(make_samples().y) == N
