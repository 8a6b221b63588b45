"""Which training samples made the model predict this."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

import dataval as dv
from dataval.data import Data
from dataval.errors import InvalidDataError
from dataval.methods.explanation import Ranking
from tests.runs import make_learner, make_samples, shared, shared_model, trained

SAME = {"rtol": 1e-9, "atol": 1e-12}
"""The same derivatives in float64, in batches of other sizes."""

QUERIES = make_samples(n=6, seed=2)


@shared
def single_output(zoo, loss):
    """Return a learner on the first output alone, a regression's or a logit of two classes, and its data."""
    training = dv.Training(optimizer=dv.SGD(learning_rate=0.1), epochs=3, batch_size=6, seed=1)
    model = shared_model(zoo, "softmax_regression")
    learner = dv.Learner(model, loss=loss, training=training, progress=False, outputs=lambda found: found[:, 0])
    X, y = make_samples()
    return learner, X, (X[:, 0] + y if loss == "mse" else (y > 0).astype(float))


def prediction_of(learner, samples, run, X):
    """Return a model's outputs at the end of a run."""
    replay = learner.replay(*samples, run)
    backend, final = replay.program.backend, replay.final
    batch = backend.batches(Data(X, np.zeros(len(X), dtype=np.int64))).take(np.arange(len(X)))
    return backend.arrays.to_numpy(backend.predict(final.parameters, final.buffers, batch))


METHODS = {
    "HyDRA": lambda learner: dv.HyDRA(learner, hessian=True),
    "InfluenceFunction": lambda learner: dv.InfluenceFunction(learner, solver="exact"),
    "TracIn": dv.TracIn,
    "LeaveOneOut": dv.LeaveOneOut,
}


@pytest.mark.parametrize("name", METHODS)
def test_values_are_those_of_the_predicted_and_the_true_labels(zoo, name):
    learner, samples, run = trained(zoo, "softmax_regression")
    method = METHODS[name](learner).fit(*samples, run=run)
    found = method.explain(*QUERIES, k=4)
    logits = prediction_of(learner, samples, run, QUERIES.X)
    predicted = logits.argmax(axis=1)
    assert 0 < (predicted != QUERIES.y).sum() < 6  # some are right, some wrong
    assert [each.predicted for each in found] == predicted.tolist()
    assert [each.true for each in found] == QUERIES.y.tolist()
    of_predicted, of_truth = method.attribute(QUERIES.X, predicted), method.attribute(*QUERIES)
    for i, each in enumerate(found):
        np.testing.assert_allclose(each.values, of_predicted[i], **SAME)
        np.testing.assert_allclose(each.for_true.values, of_truth[i], **SAME)
        np.testing.assert_allclose(each.contrast.values, of_predicted[i] - of_truth[i], **SAME)
        expected = np.exp(logits[i]) / np.exp(logits[i]).sum()
        np.testing.assert_allclose(each.probabilities, expected, rtol=1e-12)
        assert each.probability == each.probabilities.max()


def test_one_call_of_attribute_in_which_only_wrong_queries_count_twice(zoo, monkeypatch):
    learner, samples, run = trained(zoo, "softmax_regression")
    method, asked = dv.TracIn(learner).fit(*samples, run=run), []
    attribute = dv.TracIn.attribute
    monkeypatch.setattr(
        dv.TracIn, "attribute", lambda self, X, y=None: asked.append(len(X)) or attribute(self, X, y)
    )
    found = method.explain(*QUERIES)
    assert asked == [6 + sum(each.is_wrong for each in found)]


@pytest.mark.parametrize("name", ["HyDRA", "LeaveOneOut"])
def test_copies_of_the_query_speak_for_their_label(zoo, name):
    """Planted: the same inputs, twice with the predicted label, twice with another."""
    learner, samples, run = trained(zoo, "softmax_regression")
    query = QUERIES.X[:1]
    label = int(prediction_of(learner, samples, run, query).argmax())
    other = (label + 1) % 3
    X = np.concatenate([samples.X, np.repeat(query, 4, axis=0)])
    y = np.concatenate([samples.y, [label, label, other, other]])
    (found,) = METHODS[name](learner).fit(X, y).explain(query, [other], k=4)
    assert found.predicted == label
    assert {20, 21} <= set(found.helpful.tolist())
    assert {22, 23} <= set(found.harmful.tolist())
    assert {22, 23} <= set(found.for_true.helpful.tolist())
    assert {20, 21} == set(found.contrast.helpful[:2].tolist())
    assert {22, 23} == set(found.contrast.harmful[:2].tolist())


def test_what_has_no_weight_or_no_value_is_never_named(zoo):
    learner, samples, _ = trained(zoo, "softmax_regression")
    weights = np.ones(20)
    weights[3] = 0
    run = learner.train(*samples, weights)
    (each,) = dv.InfluenceFunction(learner, solver="exact").fit(*samples, run=run).explain(QUERIES.X[:1], k=100)
    assert each.values[3] != 0
    assert set(each.helpful) | set(each.harmful) == set(range(20)) - {3}
    some = dv.LeaveOneOut(learner, indices=[4, 7]).fit(*samples, run=trained(zoo, "softmax_regression").run)
    (each,) = some.explain(QUERIES.X[:1], k=100)
    assert set(each.helpful) | set(each.harmful) == {4, 7}


def test_ranking():
    values = np.array([1.0, -2.0, 3.0, 0.0, 3.0, -2.0, np.nan, 9.0])
    found = Ranking.of(values, 3, np.arange(8) != 7)
    np.testing.assert_array_equal(found.helpful, [2, 4, 0])
    np.testing.assert_array_equal(found.harmful, [1, 5])
    np.testing.assert_array_equal(found.helpful_values, [3, 3, 1])
    np.testing.assert_array_equal(found.harmful_values, [-2, -2])
    assert repr(found) == "  helpful: 2 (+3), 4 (+3), 0 (+1)\n  harmful: 1 (-2), 5 (-2)"
    assert "helpful: none" in repr(Ranking.of(-np.ones(2), 3, np.ones(2, dtype=bool)))


def test_a_regression_is_asked_about_its_output(zoo):
    learner, X, y = single_output(zoo, "mse")
    method = dv.HyDRA(learner, hessian=True).fit(X, y)
    outputs = prediction_of(learner, (X, y), method.run_, QUERIES.X[:2])
    true = outputs + np.array([1, -1])
    found = method.explain(QUERIES.X[:2], true)
    of_output = dv.HyDRA(learner, hessian=True, objective=lambda outputs, _: outputs).fit(X, y, run=method.run_)
    lowered = of_output.attribute(QUERIES.X[:2], true)
    for i, sign in enumerate([1, -1]):  # the true value above the output, and below
        assert found[i].probabilities is None
        assert found[i].predicted == pytest.approx(outputs[i], rel=1e-12)
        np.testing.assert_allclose(found[i].values, -lowered[i], **SAME)
        np.testing.assert_allclose(found[i].for_true.values, -sign * lowered[i], **SAME)
        np.testing.assert_allclose(found[i].contrast.values, sign * lowered[i], **SAME)
    assert method.objective is None
    np.testing.assert_array_equal(found.queries.targets, [each.predicted for each in found])


def test_without_a_helpful_sample_the_output_falls(zoo):
    """Leave-one-out says so by training again."""
    learner, X, y = single_output(zoo, "mse")
    (found,) = dv.LeaveOneOut(learner).fit(X, y).explain(QUERIES.X[:1], k=1)
    weights = np.ones(20)
    weights[found.helpful] = 0
    without = prediction_of(learner, (X, y), learner.train(X, y, weights), QUERIES.X[:1])
    # one and the same training, alone and as one of many side by side
    assert found.predicted - without[0] == pytest.approx(found.helpful_values[0], rel=1e-8)


def test_two_classes_of_a_single_logit(zoo):
    learner, X, y = single_output(zoo, "binary_cross_entropy")
    method = dv.TracIn(learner).fit(X, y)
    found = method.explain(QUERIES.X)
    logits = prediction_of(learner, (X, y), method.run_, QUERIES.X)
    predicted = (logits > 0).astype(float)
    assert [each.predicted for each in found] == predicted.tolist()
    of_positive = np.array([each.probabilities[1] for each in found])
    np.testing.assert_allclose(of_positive, 1 / (1 + np.exp(-logits)), rtol=1e-12)
    expected = method.attribute(QUERIES.X, predicted)
    np.testing.assert_allclose([each.values for each in found], expected, **SAME)


def test_a_model_that_is_trained_already(zoo):
    learner, samples, _ = trained(zoo, "softmax_regression")
    run = learner.adopt(*samples)
    method = dv.InfluenceFunction(learner, solver="exact").fit(*samples, run=run)
    found = method.explain(QUERIES.X)
    predicted = prediction_of(learner, samples, run, QUERIES.X).argmax(axis=1)
    assert [each.predicted for each in found] == predicted.tolist()
    np.testing.assert_allclose([each.values for each in found], method.attribute(QUERIES.X, predicted), **SAME)


def test_text(zoo):
    learner, samples, run = trained(zoo, "softmax_regression")
    found = dv.TracIn(learner).fit(*samples, run=run).explain(*QUERIES, k=2)
    wrong = next(each for each in found if each.is_wrong)
    lines = repr(wrong).splitlines()
    assert lines[0] == f"predicted {wrong.predicted} ({wrong.probability:.0%}), truly {wrong.true}"
    assert lines[3] == f"  what moved it to {wrong.predicted} rather than {wrong.true}:"
    assert repr(found).count("query") == 6


def test_refusals_before_any_work(zoo, monkeypatch):
    learner, samples, run = trained(zoo, "softmax_regression")
    method = dv.HyDRA(learner).fit(*samples, run=run)
    monkeypatch.setattr(dv.HyDRA, "_attribute", lambda *_: pytest.fail("this is the long work"))
    for k, error in ((0, ValueError), (2.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="k must be"):
            method.explain(QUERIES.X, k=k)
    for truth in ([7] * 6, [-1] * 6, [0.5] * 6):
        with pytest.raises(InvalidDataError, match="y_true must be whole numbers from 0 to 2"):
            method.explain(QUERIES.X, truth)
    with pytest.raises(InvalidDataError, match="y_true must be one label"):
        method.explain(QUERIES.X, np.zeros((6, 2)))
    with pytest.raises(InvalidDataError, match="6"):
        method.explain(QUERIES.X, [0])
    with pytest.raises(InvalidDataError, match=r"the query X has shape \(6,\)"):
        method.explain(QUERIES.X[0])
    for nothing in (np.zeros((0, 6)), None, 3, {}):
        with pytest.raises(InvalidDataError, match="query"):
            method.explain(nothing)
    with pytest.raises(InvalidDataError, match="query"):
        method.explain(QUERIES.X[:, :4])
    large = np.where(np.arange(6)[:, None] == 4, 1.7e308 * np.sign(QUERIES.X), QUERIES.X)
    with pytest.raises(InvalidDataError, match="query sample 4: an output of the model is not finite"):
        method.explain(large)
    for unfitted in (dv.HyDRA(learner), dv.LeaveOneOut(learner)):
        with pytest.raises(NotFittedError):
            unfitted.explain(QUERIES.X)


def test_methods_that_cannot_say(zoo):
    learner, samples, run = trained(zoo, "softmax_regression")
    for method in (dv.MeanLoss(learner), dv.RandomValues(learner)):
        with pytest.raises(TypeError, match=f"{type(method).__name__} can't say .* explain with HyDRA"):
            method.fit(*samples, run=run).explain(QUERIES.X)
    estimator = dv.LeaveOneOut(LogisticRegression()).fit(*samples)
    with pytest.raises(TypeError, match="scikit-learn"):
        estimator.explain(QUERIES.X)
    accuracy = dv.LeaveOneOut(learner, utility="accuracy").fit(*samples, run=run)
    with pytest.raises(TypeError, match="utility='accuracy' has no value for single"):
        accuracy.explain(QUERIES.X)


def test_several_outputs_are_refused(zoo):
    learner = make_learner(zoo, "softmax_regression", loss="mse")
    X, y = make_samples()
    method = dv.TracIn(learner).fit(X, np.eye(3)[y])
    with pytest.raises(TypeError, match=r"TracIn.explain needs one label or value a sample.*attribute"):
        method.explain(QUERIES.X)


def halves(X):
    return {"left": X[..., :4], "right": X[..., 4:]}


@shared
def fitted_to_dicts():
    """Return a method of a model that takes a dict and has a loss of one's own, on one framework."""
    torch = pytest.importorskip("torch")

    class OfDict(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(6, 3, dtype=torch.float64)

        def forward(self, left, right):
            return self.layer(torch.cat([left, right], dim=1))

    def own_loss(outputs, targets):
        return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = OfDict()
    learner = dv.Learner(model, loss=own_loss, training=dv.Training(epochs=2, batch_size=6), progress=False)
    X, y = make_samples()
    return dv.TracIn(learner).fit(halves(X), y)


def test_dicts_and_a_loss_of_ones_own():
    method = fitted_to_dicts()
    found = method.explain(halves(QUERIES.X), QUERIES.y)
    predicted = np.array([each.predicted for each in found])
    expected = method.attribute(halves(QUERIES.X), predicted)
    np.testing.assert_allclose([each.values for each in found], expected, **SAME)
    np.testing.assert_array_equal(found.queries.inputs["left"], QUERIES.X[:, :4])


def test_a_data_set_yields_true_labels():
    class Queries:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return halves(QUERIES.X[index]), QUERIES.y[index]

    method = fitted_to_dicts()
    found, expected = method.explain(Queries()), method.explain(halves(QUERIES.X), QUERIES.y)
    for each, other in zip(found, expected, strict=True):
        assert each.true == other.true
        np.testing.assert_array_equal(each.contrast.values, other.contrast.values)


def test_other_structures_are_refused():
    with pytest.raises(InvalidDataError, match="the query inputs hold"):
        fitted_to_dicts().explain({"left": QUERIES.X})
    with pytest.raises(InvalidDataError, match="failed on the first query samples"):
        fitted_to_dicts().explain({"left": QUERIES.X, "right": QUERIES.X})
