"""Directions of named losses: their second moments are Hessians in the outputs, by differences and draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_expit, log_softmax

import dataval as dv
from dataval.curvature.kronecker.outputs import directions_of

N = 3
RNG = np.random.default_rng(0)
CLASS_WEIGHTS = (0.5, 2.0, 1.0)


def cross_entropy(z, y, smoothing=0.0, weights=(1.0, 1.0, 1.0)):
    """Of logits (M, 3) and labels (M,), averaged over M."""
    aims = (1 - smoothing) * np.eye(3)[y] + smoothing / 3
    return -(aims * np.array(weights) * log_softmax(z, axis=-1)).sum(-1).mean()


def binary(z, y, weights=(1.0, 1.0)):
    z, y = z.reshape(-1), y.reshape(-1)
    losses = -(y * log_expit(z) + (1 - y) * log_expit(-z))
    return (losses * (weights[0] + (weights[1] - weights[0]) * y)).mean()


def tokens(z, y, reduction="sum", shift=False):
    z, y = (z[:-1], y[1:]) if shift else (z, y)
    losses = [-log_softmax(logits)[label] for logits, label in zip(z, y, strict=True) if label != -100]
    return np.sum(losses) / (max(1, len(losses)) if reduction == "mean" else 1)


LABELS, TOKENS = RNG.integers(0, 3, N), RNG.choice([0, 1, 2, -100], (N, 4))
SPACE, BITS = RNG.integers(0, 3, (N, 2)), RNG.integers(0, 2, (N, 2)).astype(float)
PLAIN, SEVERAL, SEQUENCES = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3, 2)), RNG.normal(size=(N, 4, 3))
SOFT = {"label_smoothing": 0.2, "class_weights": CLASS_WEIGHTS}

CASES = {
    "classes": (dv.CrossEntropy(), PLAIN, LABELS, 1, lambda z, y: cross_entropy(z[None], [y])),
    "weighted": (
        dv.CrossEntropy(**SOFT),
        PLAIN,
        LABELS,
        -1,
        lambda z, y: cross_entropy(z[None], [y], 0.2, CLASS_WEIGHTS),
    ),
    "classes first": (
        dv.CrossEntropy(**SOFT),
        SEVERAL,
        SPACE,
        1,
        lambda z, y: cross_entropy(z.T, y, 0.2, CLASS_WEIGHTS),
    ),
    "classes last": (dv.CrossEntropy(), SEVERAL.swapaxes(1, 2), SPACE, -1, cross_entropy),
    "binary": (
        dv.BinaryCrossEntropy(class_weights=(1.0, 3.0)),
        PLAIN[:, :2],
        BITS,
        1,
        lambda z, y: binary(z, y, (1.0, 3.0)),
    ),
    "one logit": (dv.BinaryCrossEntropy(label_smoothing=0.1), PLAIN[:, :1], BITS[:, 0], 1, binary),
    "squares": (dv.MeanSquaredError(), PLAIN, PLAIN + 1, 1, lambda z, y: ((z - y) ** 2).mean()),
    "tokens": (dv.TokenCrossEntropy(), SEQUENCES, TOKENS, -1, tokens),
    "mean of tokens": (
        dv.TokenCrossEntropy(reduction="mean", shift=True),
        SEQUENCES,
        TOKENS,
        -1,
        lambda z, y: tokens(z, y, "mean", True),
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def hessian(loss, outputs, targets):
    """By central differences of second order: 1e-4 leaves a truncation of 1e-8 and rounding of 1e-8."""
    step, size = 1e-4, outputs.size
    shifts = step * np.eye(size).reshape(size, *outputs.shape)
    found = np.zeros((size, size))
    for i in range(size):
        for k in range(size):
            values = [loss(outputs + a * shifts[i] + b * shifts[k], targets) for a in (1, -1) for b in (1, -1)]
            found[i, k] = (values[0] - values[1] - values[2] + values[3]) / (4 * step**2)
    return found


def test_all_directions_make_up_the_hessian(case):
    loss, outputs, targets, axis, slow = case
    directions = directions_of(loss, outputs, targets, axis)
    each = np.stack([directions.direction(k) for k in range(directions.n_all)])
    assert each.shape[1:] == outputs.shape
    for j in range(N):
        rows = each[:, j].reshape(len(each), -1)
        np.testing.assert_allclose(rows.T @ rows, hessian(slow, outputs[j], targets[j]), atol=1e-6)


def test_drawn_directions_have_it_as_their_second_moment(case):
    loss, outputs, targets, axis, _ = case
    directions = directions_of(loss, outputs, targets, axis)
    rows = np.stack([directions.direction(k)[0].ravel() for k in range(directions.n_all)])
    n, rng = 20_000, np.random.default_rng(1)
    repeated = directions_of(loss, np.repeat(outputs[:1], n, 0), np.repeat(targets[:1], n, 0), axis)
    draws = repeated.drawn([rng] * n).reshape(n, -1)
    found, expected = draws.T @ draws / n, rows.T @ rows
    # Entries are bounded by about 1 (2 for class weights), so means of 20,000 are within 5 * 2 / 141 = .07.
    np.testing.assert_allclose(found, expected, atol=0.07 * max(1.0, np.abs(expected).max()))


def test_a_generator_decides_about_its_own_sample_alone(case):
    loss, outputs, targets, axis, _ = case
    whole = directions_of(loss, outputs, targets, axis).drawn([np.random.default_rng(j) for j in range(N)])
    last = directions_of(loss, outputs[2:], targets[2:], axis).drawn([np.random.default_rng(2)])
    np.testing.assert_array_equal(whole[2:], last)
