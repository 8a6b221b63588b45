"""The closed form against as many fits as there are samples, and landmarks against the kernel itself."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.labels import kernel
from dataval.labels.kernel import kernel_held_out, laplace_kernel, standardised

N, WIDTH, RIDGE = 40, 0.5, 0.03


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    rows = standardised(rng.normal(size=(N, 3)))
    return rows, np.eye(3)[rng.integers(0, 3, N)]


def scale_of(rows):
    distances = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    return WIDTH * np.median(distances[np.triu_indices(len(rows), 1)])


def test_each_prediction_is_that_of_a_fit_without_the_sample(task):
    rows, targets = task
    found = kernel_held_out(rows, targets, widths=(WIDTH,), ridges=(RIDGE,))
    scale, means = scale_of(rows), targets.mean(axis=0)
    for i in range(N):
        others = np.delete(np.arange(N), i)
        known = rows[others]
        gram = laplace_kernel(known, known, scale) + RIDGE * np.eye(N - 1)
        weights = np.linalg.solve(gram, targets[others] - means)
        expected = laplace_kernel(rows[[i]], known, scale) @ weights + means
        np.testing.assert_allclose(found.predictions[[i]], expected, atol=1e-10)  # rounding of one solve


def test_all_samples_as_landmarks_are_the_kernel(task):
    rows, targets = task
    ridges = (1e-2, 1.0)
    exact = kernel._exact(rows, targets, 1.3, ridges)
    landmarks = kernel._by_landmarks(rows, targets, np.arange(N), 1.3, ridges)
    assert landmarks.ridge == exact.ridge
    np.testing.assert_allclose(landmarks.predictions, exact.predictions, atol=1e-7)  # squares of eigenvalues


def test_half_of_the_samples_come_close(task):
    rng = np.random.default_rng(1)
    rows = standardised(rng.normal(size=(300, 2)))
    targets = np.eye(2)[(rows[:, 0] > 0).astype(int)]
    exact = kernel_held_out(rows, targets).predictions
    half = kernel_held_out(rows, targets, landmarks=150).predictions
    assert np.corrcoef(exact[:, 0], half[:, 0])[0, 1] > 0.97  # measured .99


def test_parts_change_nothing(task, monkeypatch):
    rows, targets = task
    whole = kernel_held_out(rows, targets, landmarks=20)
    monkeypatch.setattr(kernel, "_CHUNK", 60)
    np.testing.assert_allclose(kernel_held_out(rows, targets, landmarks=20).predictions, whole.predictions)


def test_a_constant_column_and_equal_rows_do_no_harm():
    rows = standardised(np.ones((10, 2)))
    assert not rows.any()
    found = kernel_held_out(rows, np.eye(2)[[0, 1] * 5])
    np.testing.assert_allclose(found.predictions.sum(axis=1), 1.0)
