"""Both frameworks' backends pass the conformance tests, on every model of the zoo."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest

from dataval.backend.second_order import check_second_order
from dataval.data import as_data
from dataval.testing import BackendConformance, ConstructionConformance
from tests.backends.support import SEED, assert_near, make_backend, make_case, zoo_case, zoo_models
from tests.runs import shared_model
from tests.zoo.data import features, samples_for


class TestDerivatives(BackendConformance):
    @pytest.fixture(params=zoo_models())
    def case(self, request):
        return zoo_case(*request.param)


class TestConstruction(ConstructionConformance):
    @pytest.fixture
    def make(self, zoo):
        return partial(make_backend, zoo.softmax_regression())


@pytest.mark.parametrize("chosen", zoo_models())
def test_float32_is_close_to_float64(chosen):
    """1e-3 is some 1e4 roundings: enough for these depths, far below any missing term."""
    single, double = zoo_case(*chosen, dtype="float32"), zoo_case(*chosen)
    check_second_order(single.backend, single.batch)
    vector, weights = double.numpy(double.draw(double.P)), double.numpy(double.weights())
    results = []
    for case in (single, double):
        gradient = case.backend.loss.linearize(*case.at, case.array(weights), SEED).gradient
        results.append([case.numpy(gradient), *case.pullback(case.array(weights), case.array(vector))])
    for found, expected in zip(*results, strict=True):
        assert found.dtype == np.float32
        if "dropout" not in chosen:  # masks of another dtype are other draws
            assert_near(found.astype(np.float64), expected, 1e-3)


def test_dropout_masks_come_from_the_seed(zoo):
    case = zoo_case(zoo, "dropout")
    losses = [case.losses(case.parameters, seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_one_more_vector_never_costs_much_more(zoo, monkeypatch):
    """Where dropout couples 24 samples, and no layer is known, 8 slopes cost less than 24 rows."""
    case = make_case(zoo.dropout(), *features(24))
    loss, calls, vectors = case.backend.loss, Counter(), case.draw(9, case.P)

    def counted(name, function):
        return lambda *arguments: calls.update([name]) or function(*arguments)

    for name in ("slope", "rows"):
        monkeypatch.setattr(loss, name, counted(name, getattr(loss, name)))
    by_layers = case.numpy(loss.slopes(*case.at, vectors, SEED))
    assert not calls
    monkeypatch.setattr(type(loss), "has_layers", property(lambda _: False))
    found = [case.numpy(loss.slopes(*case.at, vectors[:k], SEED)) for k in (3, 4, 8, 9)]
    assert calls == {"slope": 3 + 4 + 8, "rows": 1}
    for some in found:
        assert_near(some, by_layers[: len(some)], 1e-12)  # the same sums in another order


def test_the_gauss_newton_matrix_is_that_of_outputs_in_training_mode(zoo):
    """J is read off losses that are the outputs; each output of batch normalisation depends on all samples."""
    X, y = samples_for("cnn_batch_norm", 5)
    labels = np.eye(3)
    case = zoo_case(zoo, "cnn_batch_norm")
    weights, vector = case.weights(), case.draw(case.P)
    of_outputs = make_case(shared_model(zoo, "cnn_batch_norm"), X, labels[y], loss=products)
    columns = []
    for k in range(3):
        batch = of_outputs.backend.batches(as_data(X, labels[[k] * 5])).take(np.arange(5))
        at = of_outputs.parameters, of_outputs.buffers, batch
        columns.append(case.numpy(of_outputs.backend.loss.rows(*at, SEED)))
        columns.append(case.numpy(of_outputs.backend.loss.losses(*at, SEED)))
    jacobian, outputs = np.stack(columns[::2], axis=1), np.stack(columns[1::2], axis=1)
    p = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    moved = p * (jacobian @ case.numpy(vector))
    bent = case.numpy(weights)[:, None] * (moved - p * moved.sum(1, keepdims=True))
    found = case.pullback(weights, vector, gauss_newton=True)[0]
    assert_near(found, np.einsum("ncp,nc->p", jacobian, bent), 1e-10)  # the same sums in another order


def products(outputs, targets):
    """Be an output, which the targets choose."""
    return outputs[:, 0] * targets[:, 0] + outputs[:, 1] * targets[:, 1] + outputs[:, 2] * targets[:, 2]
