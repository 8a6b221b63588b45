"""What is thought of labels: their order, how many are wrong, and what they should be."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from dataval.cli.encoding import standardised
from dataval.cli.samples import Samples
from dataval.cli.suspicion import suspicion
from dataval.cli.targets import make_targets
from dataval.evaluation import noise_detection
from dataval.noise import flip_labels


def judged(X, labels, task=None):
    labels = [str(label) for label in labels]
    targets, _ = make_targets(labels, "y", task)
    return suspicion(Samples(standardised(X), targets, labels, np.arange(len(X))), 0)


@pytest.fixture(scope="module")
def tumours():
    return load_breast_cancer(return_X_y=True)


def test_planted_errors_are_found_and_counted(tumours):
    X, y = tumours
    noisy, is_wrong = flip_labels(y, 0.1, seed=0)
    found = judged(X, noisy)
    # Measured: .90 average precision, 52.6 expected of 57, 50 flagged.
    assert noise_detection(found.values, is_wrong, n_bootstrap=0).average_precision.value > 0.8
    assert 0.75 * is_wrong.sum() < found.probability_wrong.sum() < 1.25 * is_wrong.sum()
    flagged = found.probability_wrong > 0.5
    assert is_wrong[flagged].mean() > 0.8
    assert (found.outputs.argmax(axis=1) == y)[is_wrong].mean() > 0.85


def test_without_errors_hardly_any_label_is_flagged(tumours):
    found = judged(*tumours)
    assert (found.probability_wrong > 0.5).mean() <= 0.02  # measured: 1 of 569
    np.testing.assert_allclose(found.outputs.sum(axis=1), 1.0, rtol=1e-9)  # float64


def test_numbers_that_are_wrong(tumours):
    X, y = load_diabetes(return_X_y=True)
    y = y.copy()
    wrong = [7, 100, 300]
    y[wrong] = 3000.0
    found = judged(X, y, "regression")
    assert sorted(found.values.argsort()[:3]) == wrong
    assert found.probability_wrong[wrong].min() > 0.95
    assert np.delete(found.probability_wrong, wrong).max() < 0.5
    assert 50 < np.median(found.outputs) < 300  # in the labels' own unit, whose median is 140


def test_a_class_of_one_sample(tumours):
    X, y = tumours
    labels = y[:60].astype(str).astype(object)
    labels[7] = "other"
    found = judged(X[:60], labels)
    assert np.isfinite(found.values).all()
    assert ((found.probability_wrong >= 0) & (found.probability_wrong <= 1)).all()
