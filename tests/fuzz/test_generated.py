"""Arrays of any dtype, shape and content: what is taken gives finite numbers, what isn't is refused clearly."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import dataval as dv
from tests.fuzz.calls.call import MASK, VALUES, X, Y, learner, run
from tests.fuzz.calls.methods import of_estimator
from tests.fuzz.judge import verdict
from tests.fuzz.values import N

DTYPES = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"),
    arrays.complex_number_dtypes(),
    arrays.unicode_string_dtypes(max_len=3),
    arrays.datetime64_dtypes(max_period="s"),
    st.just(np.dtype(object)),
)
NEAR = st.sampled_from([(N,), (N, 4), (N, 1), (N - 1,), (N, 3), ()])
SHAPES = st.one_of(NEAR, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=N + 1))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.complex_numbers()
)
ANYTHING = st.one_of(
    DTYPES.flatmap(
        lambda dtype: arrays.arrays(dtype, SHAPES) if dtype.kind != "O" else st.just(np.full(N, None))
    ),
    SCALARS,
    st.lists(SCALARS, max_size=N + 1),
    st.lists(st.lists(SCALARS, max_size=3), max_size=N),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=3),
)
WORDS = (
    "X",
    "y",
    "value",
    "is_noisy",
    "sample",
    "label",
    "target",
    "truth",
    "weights",
    "mask",
    "input",
    "seed",
    "fraction",
)


def refused_or_finite(action):
    """Assert that an action is refused clearly, or gives finite numbers."""
    found = []
    said = verdict(lambda: found.append(action()), WORDS)
    assert said in {"", "silent"}, said
    for values in found:
        assert np.isfinite(np.asarray(values, dtype=np.float64)).all()


@given(ANYTHING)
def test_training_samples(given):
    refused_or_finite(lambda: learner().train(given, Y).losses)


@given(ANYTHING)
def test_training_labels(given):
    refused_or_finite(lambda: learner().train(X, given).losses)


@given(ANYTHING)
def test_weights(given):
    refused_or_finite(lambda: learner().train(X, Y, given).losses)


@given(ANYTHING, ANYTHING)
def test_validation_samples(X_val, y_val):
    fitted = dv.HyDRA(learner()).fit(X, Y, run=run())
    refused_or_finite(lambda: fitted.score(X_val, y_val))
    refused_or_finite(lambda: fitted.score(X, y_val))


@given(ANYTHING, ANYTHING)
def test_metrics(values, mask):
    for left, right in ((values, mask), (VALUES, mask), (values, MASK)):
        refused_or_finite(lambda left=left, right=right: dv.evaluation.detection_curve(left, right))


@given(ANYTHING)
def test_noise(given):
    refused_or_finite(lambda: np.mean(dv.noise.flip_labels(given, 0.5).is_noisy))
    refused_or_finite(lambda: dv.noise.feature_noise(given, 0.5).X)
    refused_or_finite(lambda: np.mean(dv.noise.flip_labels(Y, given).is_noisy))
    refused_or_finite(lambda: np.mean(dv.noise.flip_labels(Y, 0.5, seed=given).is_noisy))


@given(ANYTHING)
def test_data_of_an_estimator(given):
    refused_or_finite(lambda: of_estimator(X=given, y=Y, X_val=X, y_val=Y)[:2])
    refused_or_finite(lambda: of_estimator(y=given)[:2])
    refused_or_finite(lambda: of_estimator(X_val=given)[:2])
