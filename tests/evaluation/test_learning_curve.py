"""Learning curves, against training on each of the random subsets."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import dataval as dv
from dataval.evaluation import LearningCurve, learning_curve
from tests.runs import make_learner, make_samples

FIELDS = {"utility": "accuracy", "greater_is_better": True, "confidence": 0.95, "seed": 0}
CURVE = LearningCurve(**FIELDS, sizes=(10, 20, 40), found=((0.2, 0.5, 0.7), (0.4, 0.5, 0.9)))


def test_means_gains_and_needs():
    assert [each.mean for each in CURVE.mean] == pytest.approx([0.3, 0.5, 0.8])
    assert [each.mean for each in CURVE.gain] == pytest.approx([0.2, 0.3])
    assert CURVE.samples_for(0.1) == 10
    assert CURVE.samples_for(0.4) == pytest.approx(15)
    assert CURVE.samples_for(0.65) == pytest.approx(30)
    assert CURVE.samples_for(0.81) is None
    loss = CURVE.model_copy(update={"greater_is_better": False, "found": ((3.0, 2.0, 1.0),)})
    assert loss.samples_for(1.5) == pytest.approx(30)
    assert [each.mean for each in loss.gain] == [1, 1]
    assert str(CURVE).splitlines()[-1].startswith("      40  0.8000 [")
    assert LearningCurve.model_validate_json(CURVE.model_dump_json()) == CURVE


def test_a_learner_is_trained_on_the_first_samples_of_each_order(zoo, tmp_path):
    learner = make_learner(zoo, "softmax_regression")
    samples, validation = make_samples(), make_samples("mlp", 40, seed=2)
    options = {"sizes": [20, 6, 12], "n_repeats": 2, "utility": "neg_log_loss", "folder": tmp_path}
    curve = learning_curve(learner, *samples, *validation, **options)
    assert curve.sizes == (6, 12, 20)
    assert curve.found[0][2] == curve.found[1][2]  # all of them, whatever the order
    ranks = np.random.default_rng([0, 9]).permutation(20)
    first = ranks < 6
    loss = dv.LeaveOneOut(learner).fit(samples.X[first], samples.y[first])
    loss.score(*validation)
    assert -curve.found[0][0] == pytest.approx(float(loss.diagnostics_["utility"][0]))
    assert learning_curve(learner, *samples, *validation, **options) == curve


def test_an_estimator_is_fitted_on_what_there_is():
    samples, validation = make_samples("mlp", 60), make_samples("mlp", 60, seed=2)
    curve = learning_curve(LogisticRegression(), *samples, *validation, n_repeats=3)
    assert curve.sizes == (1, 3, 6, 12, 21, 30, 42, 60)
    fitted = LogisticRegression().fit(*samples)
    assert curve.mean[-1].mean == pytest.approx(fitted.score(*validation))
    shares = np.bincount(samples.y) / 60
    prior = np.mean(validation.y == shares.argmax())
    assert curve.found[0][0] == pytest.approx(prior)  # of one sample there is no model


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sizes": [0, 3]}, ValueError, "sizes"),
        ({"sizes": [21]}, ValueError, "sizes"),
        ({"n_repeats": 0}, ValueError, "n_repeats"),
        ({"utility": "acuracy"}, ValueError, "acuracy"),
        ({"utility": 3}, TypeError, "utility"),
        ({"folder": "here"}, TypeError, "folder"),
        ({"confidence": 1.0}, ValueError, "confidence"),
    ],
)
def test_nonsense_is_refused(options, error, message, monkeypatch):
    monkeypatch.setattr(LogisticRegression, "fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(error, match=message):
        learning_curve(LogisticRegression(), *make_samples(), *make_samples(), **options)
    with pytest.raises(TypeError, match="learner must be"):
        learning_curve("mlp", *make_samples(), *make_samples())
