"""Arrays of the caller as tensors: their own memory, and dtypes that torch lacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dataval.data import Data
from dataval_torch.batches import Batch, TorchBatches, to_device
from tests.zoo.data import features

CPU = torch.device("cpu")
X, Y = features(8)


def batches(inputs, targets=Y, dtype=torch.float64):
    return TorchBatches(Data(inputs, targets), CPU, dtype, lambda leaf: torch.int64)


@pytest.mark.parametrize(
    "given",
    [X, np.asfortranarray(X), X[::-1], np.repeat(X, 2, axis=1)[:, ::2], X.astype(">f8")],
    ids=["plain", "fortran", "reversed", "strided", "foreign"],
)
def test_memory_is_never_shared(given):
    given.flags.writeable = False
    tensor = to_device(given, CPU, None)
    assert not np.shares_memory(tensor.numpy(), given)
    np.testing.assert_array_equal(tensor.numpy(), given)
    given.flags.writeable = True


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", torch.uint8),
        ("uint16", torch.int64),
        ("uint32", torch.int64),
        (">i4", torch.int32),
        ("longdouble", torch.float32),
        ("float16", torch.float32),
        ("bool", torch.bool),
    ],
)
def test_dtypes(dtype, expected):
    """Floating-point values become the parameters' dtype; integers and truth values stay what they are."""
    given = np.arange(5).astype(dtype)
    tensor = to_device(given, CPU, torch.float32)
    assert tensor.dtype == expected
    np.testing.assert_array_equal(tensor.numpy(), given.astype(tensor.numpy().dtype))


def test_structures_keep_their_shape():
    indices, ids = np.array([5, 0, 5]), np.arange(8)
    for inputs in (X, (X, ids), {"x": X, "ids": ids}):
        batch = batches(inputs).take(indices)
        assert len(batch) == 3
        leaves = batch.inputs.values() if isinstance(inputs, dict) else batch.inputs
        leaves = [leaves] if isinstance(inputs, np.ndarray) else list(leaves)
        for leaf, given in zip(leaves, (X, ids), strict=False):
            np.testing.assert_array_equal(leaf.numpy(), given[indices])
        np.testing.assert_array_equal(batch.targets.numpy(), Y[indices])


def test_models_are_called_as_the_structure_says():
    x, y = torch.ones(2, 3), torch.zeros(2)
    calls = [
        Batch(inputs, y).call(lambda *args, **kwargs: (len(args), sorted(kwargs)))
        for inputs in (x, (x, x), {"b": x, "a": x})
    ]
    assert calls == [(1, []), (2, []), (0, ["a", "b"])]


def test_what_is_written_in_place_is_noticed():
    batch = Batch((torch.ones(2), torch.ones(2)), torch.zeros(2))
    assert not batch.is_written()
    batch.inputs[1].mul_(2)
    assert batch.is_written()


def test_rows_are_some_of_the_samples():
    batch = batches({"x": X}).take(np.arange(8)).rows(slice(2, 4))
    np.testing.assert_array_equal(batch.inputs["x"].numpy(), X[2:4])
    assert len(batch) == 2
