"""Which training samples made the model predict this."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError
from tests.runs import make_samples, trained


@pytest.fixture
def fitted(zoo):
    learner, samples, run = trained(zoo, "mlp")
    return dv.HyDRA(learner).fit(*samples, run=run), samples


def test_values_are_those_of_the_predicted_labels(fitted):
    method, samples = fitted
    queries = make_samples(seed=2)
    replay = method.learner.replay(*samples, method.run_)
    found = method.explain(queries.X[:3], queries.y[:3], k=4)
    assert len(found) == 3
    predicted = np.array([each.predicted for each in found])
    values = method.attribute(queries.X[:3], predicted)
    truth = method.attribute(queries.X[:3], queries.y[:3])
    for i, each in enumerate(found):
        np.testing.assert_array_equal(each.values, values[i])
        np.testing.assert_array_equal(each.contrast, values[i] - truth[i])
        order = np.argsort(-values[i], kind="stable")
        expected = order[:4][values[i][order[:4]] > 0]
        np.testing.assert_array_equal(each.helpful, expected)
        assert (each.harmful_values < 0).all()
        assert (np.diff(each.helpful_values) <= 0).all()
        assert each.true == queries.y[i]
        assert f"predicted {each.predicted}" in str(each)
        if each.true != each.predicted:
            assert each.misleading(2)[0] == np.argmax(each.contrast)
    assert replay.run is method.run_


def test_a_copy_of_the_query_speaks_for_it_and_a_mislabelled_one_against(zoo):
    """Planted: the same inputs, once with the predicted label, once with another."""
    learner, samples, _ = trained(zoo, "mlp")
    query = make_samples(seed=2).X[:1]
    label = dv.HyDRA(learner).fit(*samples).explain(query)[0].predicted
    X = np.concatenate([samples.X, query, query])
    y = np.concatenate([samples.y, [label, (label + 1) % 3]])
    found = dv.HyDRA(learner, hessian=True).fit(X, y).explain(query, k=3)[0]
    if found.predicted == label:
        assert len(samples.y) in found.helpful
        assert len(samples.y) + 1 in found.harmful


def test_a_sample_that_is_left_out_is_never_among_them(zoo):
    learner, samples, _ = trained(zoo, "mlp")
    weights = np.ones(len(samples.y))
    weights[3] = 0
    run = learner.train(*samples, weights)
    method = dv.TracIn(learner).fit(*samples, run=run)
    (each,) = method.explain(make_samples(seed=2).X[:1], k=100)
    assert len(each.helpful) + len(each.harmful) <= len(samples.y)


def test_refusals(fitted, zoo):
    method, _ = fitted
    queries = make_samples(seed=2)
    with pytest.raises(ValueError, match="k must be"):
        method.explain(queries.X[:1], k=0)
    with pytest.raises(InvalidDataError, match="y_true must be 1 integer labels from 0 to 2"):
        method.explain(queries.X[:1], [7])
    with pytest.raises(ValueError, match="give the true labels"):
        method.explain(queries.X[:1])[0].misleading()
    learner, samples, run = trained(zoo, "mlp")
    with pytest.raises(TypeError, match="gives no values for single validation samples"):
        dv.MeanLoss(learner).fit(*samples, run=run).explain(queries.X[:1])


def test_drawn(fitted):
    import matplotlib.pyplot as plt

    from dataval.plotting import ExplanationDisplay

    method, _ = fitted
    queries = make_samples(seed=2)
    found = method.explain(queries.X[:2], queries.y[:2], k=3)
    display = ExplanationDisplay.from_explanations(found, 1, class_names=["a", "b", "c"])
    assert len(display.axes_) == 1 + len(found[1].helpful) + len(found[1].harmful)
    assert display.axes_[0].get_title().startswith("abc"[found[1].predicted])
    words = ExplanationDisplay.from_explanations(found, 0, decode=lambda row: f"{row[0]:.1f}")
    assert words.axes_[0].texts[0].get_text() == f"{queries.X[0][0]:.1f}"
    plt.close("all")
