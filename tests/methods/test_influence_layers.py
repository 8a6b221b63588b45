"""Influence functions with Kronecker factors on the frameworks' layers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dataval as dv
from dataval.backend.layers import rows_of
from dataval.curvature.kronecker.estimate import find_spectra
from dataval.curvature.kronecker.fisher import FisherGradients
from dataval.data import as_data
from dataval.errors import CurvatureWarning
from tests.runs import N, make_learner, make_samples, shared, trained

N_VAL = 4
DAMPING = 0.3
EXACT = {"kfac": dv.KFAC(fisher="exact"), "ekfac": dv.EKFAC(fisher="exact")}


@shared
def linear_run(zoo, layer):
    """One of two layers without an activation between them, under a squared error; the other isn't trained."""
    samples = make_samples("mlp")._replace(y=np.random.default_rng(3).normal(size=(N, 3)))
    settings = {"loss": "mse", "optimizer": dv.SGD(learning_rate=0.05, weight_decay=0.1)}
    whole = make_learner(zoo, "deep_linear", **settings)
    names = [name for name, _ in whole.prepare(*samples).program.backend.signature.parameters]
    learner = make_learner(zoo, "deep_linear", params=names[2 * layer : 2 * layer + 2], **settings)
    return learner, samples, learner.train(*samples)


@pytest.mark.parametrize("curvature", EXACT)
@pytest.mark.parametrize("layer", [0, 1])
def test_each_layer_of_a_deep_linear_network_is_exact(zoo, curvature, layer):
    """Inputs vary and gradients don't, so that the expectation of their product is that of its factors."""
    learner, train, run = linear_run(zoo, layer)
    validation = make_samples("mlp", N_VAL, seed=2)._replace(y=np.random.default_rng(4).normal(size=(N_VAL, 3)))
    values = []
    for options in ({"curvature": EXACT[curvature]}, {"solver": "exact"}):
        method = dv.InfluenceFunction(learner, damping=DAMPING, **options).fit(*train, run=run)
        values.append(method.attribute(*validation))
    # Both are solved densely in float64; the matrices' condition is below 1e3.
    np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1e-10 * np.abs(values[1]).max())


MODELS = [
    "mlp",
    "layer_norm",
    pytest.param("cnn_batch_norm", marks=pytest.mark.slow_on_tensorflow),
    pytest.param("transformer", marks=pytest.mark.slow_on_tensorflow),
]


def values_of(zoo, model, curvature, **options):
    learner, samples, run = trained(zoo, model)
    method = dv.InfluenceFunction(learner, curvature=curvature, **{"damping": DAMPING} | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CurvatureWarning)
        method.fit(*samples, run=run)
        return method, method.attribute(*make_samples(model, N_VAL, seed=2))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_eigenvalues_are_mean_squares_in_the_basis(zoo, model, sharing):
    """A network's values against the dense matrix that the layers' bases and all gradients make up."""
    options = dv.EKFAC(fisher="exact", sharing=sharing)
    method, found = values_of(zoo, model, options)
    learner, samples, run = trained(zoo, model)
    replay = learner.replay(*samples, run)
    program, final, arrays = replay.program, replay.final, replay.program.backend.arrays
    gradients = FisherGradients(program, final, learner.loss, options)
    spectra = find_spectra(gradients, arrays, options, lambda n: None)
    size = program.backend.signature.n_parameters
    basis = np.zeros((size, size))  # an eigenvector a row
    place = 0
    for spectrum in spectra:
        coordinates = np.eye(spectrum.eigenvalues.size).reshape(-1, *spectrum.eigenvalues.shape)
        for start, rows in spectrum.placed(arrays).out_of(arrays, arrays.from_numpy(coordinates)):
            rows = arrays.to_numpy(rows)
            basis[place : place + len(rows), start : start + rows.shape[1]] = rows
        place += spectrum.eigenvalues.size
    np.testing.assert_allclose(basis @ basis.T, np.eye(size), atol=1e-10)
    squares = np.zeros(size)
    for blocks, weights in gradients:
        squares += weights @ (arrays.to_numpy(rows_of(arrays, blocks)) @ basis.T) ** 2
    matrix = basis.T @ np.diag(squares + DAMPING) @ basis
    at, objective = (final.parameters, final.buffers), program.backend.objective()
    batches = program.backend.batches(as_data(*make_samples(model, N_VAL, seed=2)))
    slopes = arrays.to_numpy(objective.rows(*at, batches.take(np.arange(N_VAL)))[0])
    rows = arrays.to_numpy(objective.rows(*at, program.batches.take(np.arange(N)))[0])
    expected = slopes @ np.linalg.solve(matrix, rows.T) / 24  # four batches of 6
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    own = np.einsum("jp,pj->j", rows, np.linalg.solve(matrix, rows.T)) / 24
    np.testing.assert_allclose(method.self_scores(), own, rtol=1e-8)


@pytest.mark.parametrize("model", MODELS)
def test_chunks_do_not_change_values(zoo, model):
    for curvature in (dv.KFAC(), dv.EKFAC(fisher="empirical")):
        method, whole = values_of(zoo, model, curvature)
        _, parts = values_of(zoo, model, curvature, chunk_size=3)
        np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-9 * np.abs(whole).max())
        score = method.score(*make_samples(model, N_VAL, seed=2))
        np.testing.assert_allclose(whole.mean(axis=0), score, rtol=0, atol=1e-9 * np.abs(whole).max())


@pytest.mark.slow_on_tensorflow
def test_what_is_not_covered_is_named_once(zoo):
    learner, samples, run = trained(zoo, "lstm")
    method = dv.InfluenceFunction(learner, curvature="ekfac").fit(*samples, run=run)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        for _ in range(2):
            method.score(*make_samples("lstm", N_VAL, seed=2))
    told = [str(each.message) for each in given if each.category is CurvatureWarning]
    uncovered = method.diagnostics_["uncovered"]
    assert len(told) == (len(uncovered) > 0)
    assert all(repr(name) in told[0] for name in uncovered)
    assert uncovered or "torch" not in zoo.__name__  # TensorFlow sees the matrices of its LSTM
    assert len(method.diagnostics_["covered"]) >= 2  # the embedding and the last layer
    assert set(method.diagnostics_["damping"].values()) == {0.1}


def test_a_loss_without_a_name_has_given_targets_alone(zoo):
    learner = make_learner(zoo, loss=lambda outputs, targets: outputs[:, 0] ** 2)
    with pytest.raises(dv.errors.InvalidModelError, match=r"loss '<lambda>' doesn't tell.*EKFAC\(fisher='emp"):
        dv.InfluenceFunction(learner, curvature="ekfac").fit(*make_samples())


def test_queries_are_explained(zoo):
    learner, samples, run = trained(zoo)
    method = dv.InfluenceFunction(learner, curvature="ekfac").fit(*samples, run=run)
    assert len(method.explain(make_samples(n=2, seed=3).X, k=2)) == 2
