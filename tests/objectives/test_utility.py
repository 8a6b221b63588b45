"""Utilities against scikit-learn's metrics on the model's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

import dataval as dv
from dataval.data import as_data
from dataval.objectives.utility import make_utility
from dataval.training.program import State
from tests.runs import make_learner, make_samples


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.fixture
def judged(zoo):
    """A backend, its validation data, its state and its outputs."""
    samples = make_samples("mlp", 700, seed=2)  # more than one chunk
    backend = make_learner(zoo).prepare(*samples).program.backend
    parameters, buffers = backend.initial()
    batch = backend.batches(as_data(*samples)).take(np.arange(700))
    outputs = backend.arrays.to_numpy(backend.predict(parameters, buffers, batch))
    return backend, as_data(*samples), State(parameters, (), buffers), outputs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", lambda z, y: metrics.accuracy_score(y, z.argmax(1))),
        ("f1_macro", lambda z, y: metrics.f1_score(y, z.argmax(1), average="macro")),
        ("neg_log_loss", lambda z, y: -metrics.log_loss(y, softmax(z))),
        ("roc_auc_ovr", lambda z, y: metrics.roc_auc_score(y, softmax(z), multi_class="ovr")),
    ],
)
def test_scorers(judged, name, expected):
    backend, data, state, outputs = judged
    utility = make_utility(name, backend, data, loss="cross_entropy")
    assert utility.greater_is_better
    assert utility.name == name
    assert utility.value(state) == pytest.approx(expected(outputs, data.targets), rel=1e-12)


def test_loss_is_the_validation_objective(judged):
    backend, data, state, outputs = judged
    utility = make_utility("loss", backend, data)
    assert not utility.greater_is_better
    assert utility.value(state) == pytest.approx(metrics.log_loss(data.targets, softmax(outputs)), rel=1e-12)


def test_a_function_of_arrays(judged):
    backend, data, state, outputs = judged
    utility = make_utility(lambda z, y: z[:, 1].max() - len(y), backend, data)
    assert utility.value(state) == pytest.approx(outputs[:, 1].max() - 700)


@pytest.mark.parametrize("name", ["loss", "accuracy", "f1_macro"])
def test_leading_axis(judged, name):
    backend, data, state, _ = judged
    utility = make_utility(name, backend, data)
    rows = [backend.arrays.to_numpy(state.parameters) * factor for factor in (1, -1)]
    buffers = backend.arrays.from_numpy(np.zeros((2, 0)))
    together = utility.value(State(backend.arrays.from_numpy(np.stack(rows)), (), buffers))
    each = [float(utility.value(State(backend.arrays.from_numpy(row), (), state.buffers))) for row in rows]
    np.testing.assert_allclose(together, each, rtol=1e-12)


def test_binary_and_regression_outputs():
    torch = pytest.importorskip("torch")
    X, y = make_samples("mlp", 50)
    labels = (y > 0).astype(float)
    for loss, targets, name in [
        ("binary_cross_entropy", labels, "roc_auc"),
        ("binary_cross_entropy", labels, "accuracy"),
        ("binary_cross_entropy", labels, "balanced_accuracy"),
        ("mse", X[:, 0], "r2"),
    ]:
        net = torch.nn.Linear(6, 1).double()
        outputs = net(torch.from_numpy(X)).detach().numpy()[:, 0]
        backend = dv.Learner(net, loss=loss, training=dv.Training(epochs=1)).prepare(X, targets).program.backend
        utility = make_utility(name, backend, as_data(X, targets), loss=loss)
        expected = {
            "roc_auc": metrics.roc_auc_score(labels, outputs),
            "accuracy": metrics.accuracy_score(labels, outputs > 0),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels, outputs > 0),
            "r2": metrics.r2_score(X[:, 0], outputs),
        }
        parameters, buffers = backend.initial()
        assert utility.value(State(parameters, (), buffers)) == pytest.approx(expected[name], rel=1e-12)


def test_what_is_wrong_is_named(judged):
    backend, data, *_ = judged
    with pytest.raises(ValueError, match="acuracy"):
        make_utility("acuracy", backend, data)
    with pytest.raises(TypeError, match="name or a function"):
        make_utility(3, backend, data)
    with pytest.raises(ValueError, match="leave it out"):
        make_utility("accuracy", backend, data, objective=lambda z, y: z[:, 0])
    with pytest.raises(dv.errors.InvalidDataError, match=r"'precision' failed.*multiclass"):
        make_utility("precision", backend, data)
