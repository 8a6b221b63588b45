"""Data that are no arrays are called what they are, with the way to make arrays of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from dataval.data import as_data
from dataval.errors import InvalidDataError

X, Y = np.arange(12.0).reshape(4, 3), np.arange(4)


KINDS = {
    "nothing": (None, "is None: pass an array"),
    "a string": ("data.csv", r"is 'data.csv' \(str\): pass the samples themselves"),
    "a sparse matrix": (sparse.csr_matrix(X), r"is a scipy.*: pass a dense one, X.toarray\(\)"),
    "a generator": ((row for row in X), r"is a generator: pass an array: np.array\(list\(X\)\)"),
    "a set": ({1, 2, 3, 4}, r"is \{1, 2, 3, 4\}: pass an array"),
    "a ragged list": ([[1.0], [2.0, 3.0], [4.0], [5.0]], "can't be read as an array"),
    "an object": (object(), "is a object: pass an array"),
    "a number": (3.0, "is a single number"),
    "a function": (len, "pass an array"),
}


@pytest.mark.parametrize("case", KINDS)
def test_what_is_no_array(case):
    given, match = KINDS[case]
    with pytest.raises(InvalidDataError, match=f"training X .*{match}") as caught:
        as_data(given, Y)
    assert "LabelEncoder" not in str(caught.value)
    with pytest.raises(InvalidDataError, match=r"validation X\['b'\]"):
        as_data({"a": X, "b": given}, Y, "validation")


def test_targets_that_are_missing():
    with pytest.raises(InvalidDataError, match="training y is None: pass an array"):
        as_data(X, None)


@pytest.mark.parametrize("array", [X, X.tolist(), memoryview(X), np.ma.masked_array(X).data])
def test_arrays_pass(array):
    np.testing.assert_array_equal(as_data(array, Y.tolist()).inputs, X)
