"""Estimators that answer with given outputs."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.objectives.predictions import as_estimator

LOGITS = np.array([[0.0, 2.0, 1.0], [3.0, -1.0, 0.5]])


def test_classes():
    found = as_estimator(LOGITS, np.array([0, 1]))
    np.testing.assert_array_equal(found.predict(None), [1, 0])
    np.testing.assert_array_equal(found.classes_, [0, 1, 2])
    expected = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.predict_proba(None), expected, rtol=1e-14)
    np.testing.assert_array_equal(found.decision_function(None), LOGITS)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_one_logit_is_that_of_the_second_class(shape):
    logits = np.array([1.5, -0.5]).reshape(shape)
    found = as_estimator(logits, np.array([1.0, 0.0]), "binary_cross_entropy")
    np.testing.assert_array_equal(found.predict(None), [1, 0])
    np.testing.assert_array_equal(found.decision_function(None), [1.5, -0.5])
    np.testing.assert_allclose(found.predict_proba(None)[:, 1], 1 / (1 + np.exp([-1.5, 0.5])), rtol=1e-14)


def test_large_logits_do_not_overflow():
    found = as_estimator(1e4 * LOGITS, np.array([0, 1])).predict_proba(None)
    np.testing.assert_array_equal(found, [[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("targets", "loss", "kind"),
    [
        (np.array([0, 1]), None, "classifier"),
        (np.array([0.0, 1.0]), None, "regressor"),
        (np.array([0, 1]), "mse", "regressor"),
        (np.array([0.0, 1.0]), "binary_cross_entropy", "classifier"),
        (np.array([0, 1]), lambda outputs, targets: outputs, "classifier"),
    ],
)
def test_the_loss_tells_what_outputs_mean_and_else_the_targets(targets, loss, kind):
    found = as_estimator(np.array([[0.5], [-1.0]]), targets, loss)
    assert hasattr(found, "predict_proba") == (kind == "classifier")
    if kind == "regressor":
        np.testing.assert_array_equal(found.predict(None), [0.5, -1.0])
