"""The flat form of parameters, and which are trained."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dataval.errors import InvalidModelError
from dataval_tensorflow.model.parameters import Layout, select_parameters

TENSORS = {
    "kernel": tf.reshape(tf.range(6.0), (2, 3)),
    "bias": tf.range(2.0),
    "scale": tf.constant(3.0),
}


def test_splitting_undoes_joining():
    layout = Layout(TENSORS)
    flat = layout.join(list(TENSORS.values()), tf.float32)
    assert flat.shape == (layout.size,) == (9,)
    for name, tensor in layout.named(flat).items():
        np.testing.assert_array_equal(tensor, TENSORS[name])


def test_joining_converts_and_nothing_joins_to_nothing():
    assert Layout(TENSORS).join([tf.constant([1, 2])], tf.float64).dtype == tf.float64
    assert Layout({}).join([], tf.float64).shape == (0,)
    assert Layout({}).split(tf.zeros((0,))) == []


def test_filters():
    selected = select_parameters(TENSORS, ["bias", "k*"], has_frozen=False)
    assert list(selected) == ["kernel", "bias"]


@pytest.mark.parametrize(
    ("dtypes", "message"),
    [(("float32", "float64"), r"mix the dtypes \['float32', 'float64'\]"), (("float16",), "float16: build")],
)
def test_dtypes_that_cannot_be_used(dtypes, message):
    with pytest.raises(InvalidModelError, match=message):
        select_parameters({d: tf.zeros(2, d) for d in dtypes}, None, has_frozen=False)
