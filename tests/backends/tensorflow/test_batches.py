"""Arrays of the caller as tensors: their own memory, and dtypes that TensorFlow lacks."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dataval.data import Data
from dataval_tensorflow.batches import Batch, TensorFlowBatches, to_device
from tests.zoo.data import features

X, Y = features(8)


def batches(inputs, targets=Y):
    return TensorFlowBatches(Data(inputs, targets), "/CPU:0", tf.float64, lambda leaf: tf.int64)


@pytest.mark.parametrize(
    "given",
    [X, np.asfortranarray(X), X[::-1], np.repeat(X, 2, axis=1)[:, ::2], X.astype(">f8")],
    ids=["plain", "fortran", "reversed", "strided", "foreign"],
)
def test_memory_is_never_shared(given):
    copy = given.copy()
    tensor = to_device(copy, None)
    copy[:] = 0
    np.testing.assert_array_equal(tensor.numpy(), given)
    batch = batches(copy).take(np.arange(8))
    assert not np.shares_memory(batch.inputs.numpy(), copy)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", tf.uint8),
        ("uint16", tf.int64),
        ("uint32", tf.int64),
        (">i4", tf.int32),
        ("longdouble", tf.float32),
        ("float16", tf.float32),
        ("bool", tf.bool),
    ],
)
def test_dtypes(dtype, expected):
    """Floating-point values become the parameters' dtype; integers and truth values stay what they are."""
    given = np.arange(5).astype(dtype)
    tensor = to_device(given, tf.float32)
    assert tensor.dtype == expected
    np.testing.assert_array_equal(tensor.numpy(), given.astype(tensor.numpy().dtype))


def test_structures_keep_their_shape():
    indices, ids = np.array([5, 0, 5]), np.arange(8)
    for inputs in (X, (X, ids), {"x": X, "ids": ids}):
        batch = batches(inputs).take(indices)
        assert len(batch) == 3
        assert type(batch.inputs) is type(inputs) or isinstance(inputs, np.ndarray)
        leaves = {6: X, 3: ids}
        for leaf in tf.nest.flatten(batch.inputs):
            given = leaves[6 if leaf.shape.rank == 2 else 3]
            np.testing.assert_array_equal(leaf.numpy(), given[indices])
        np.testing.assert_array_equal(batch.targets.numpy(), Y[indices])


def test_rows_are_some_of_the_samples():
    batch = batches({"x": X}).take(np.arange(8)).rows(slice(2, 4))
    np.testing.assert_array_equal(batch.inputs["x"].numpy(), X[2:4])
    assert len(batch) == 2


def test_a_function_of_every_tensor():
    batch = Batch((tf.ones(2), tf.zeros(2)), tf.ones(2)).map(lambda leaf: leaf + 1)
    assert [leaf.numpy().tolist() for leaf in (*batch.inputs, batch.targets)] == [[2, 2], [1, 1], [2, 2]]
