"""Data frames are one array of floats, columns arrays of their own dtype."""

from __future__ import annotations

import numpy as np
import pytest

from dataval.data import as_data
from dataval.errors import InvalidDataError

pandas = pytest.importorskip("pandas")

FRAME = pandas.DataFrame(
    {
        "size": np.array([1.5, 2.5, 3.5], dtype=np.float32),
        "count": [1, 2, 3],
        "is_old": [True, False, True],
        "colour": pandas.Categorical(["red", "blue", "red"]),
        "stock": pandas.array([4, 5, 6], dtype="Int64"),
    },
    index=[7, 3, 9],
)
EXPECTED = [[1.5, 1, 1, 1, 4], [2.5, 2, 0, 0, 5], [3.5, 3, 1, 1, 6]]
Y = [0, 1, 0]


def test_numbers_bools_and_codes_of_categories():
    data = as_data(FRAME, pandas.Series(Y))
    assert data.inputs.dtype == np.float64
    np.testing.assert_array_equal(data.inputs, EXPECTED)
    assert data.targets.dtype == np.int64


def test_single_precision_stays():
    assert as_data(FRAME[["size"]], Y).inputs.dtype == np.float32


def test_a_column_of_the_frame_as_the_target():
    data = as_data(FRAME, "colour")
    np.testing.assert_array_equal(data.inputs, np.delete(EXPECTED, 3, axis=1))
    np.testing.assert_array_equal(data.targets, [1, 0, 1])


def test_an_array_of_a_dict_as_the_target():
    data = as_data({"a": FRAME["count"], "b": FRAME, "c": Y}, "c")
    np.testing.assert_array_equal(data.inputs["a"], [1, 2, 3])
    np.testing.assert_array_equal(data.inputs["b"], EXPECTED)
    np.testing.assert_array_equal(data.targets, Y)


BAD = {
    "words": (FRAME.assign(name=["a", "b", "c"]), Y, "column 'name' of the training X has dtype .*categories"),
    "dates": (
        FRAME.assign(day=pandas.Timestamp("2020-01-01")),
        Y,
        "column 'day' of the training X has dtype datetime",
    ),
    "a gap": (
        FRAME.assign(size=[1.0, np.nan, 2.0]),
        Y,
        "column 'size' .* missing value or NaN, first at sample 1",
    ),
    "a gap in integers": (
        FRAME.assign(stock=pandas.array([4, 5, None], dtype="Int64")),
        Y,
        "column 'stock' .* first at sample 2",
    ),
    "a category that is missing": (
        FRAME.assign(colour=pandas.Categorical(["red", None, "red"])),
        Y,
        "column 'colour' .* first at sample 1",
    ),
    "infinity": (FRAME.assign(size=[1.0, np.inf, 2.0]), Y, "X contains NaN or infinity, first at sample 1"),
    "no columns": (FRAME[[]], Y, "data frame without columns"),
    "no such column": (FRAME, "weight", "has the columns .*'stock'.*no 'weight'"),
    "class names": (FRAME, pandas.Series(list("aba")), "training y has dtype"),
    "no targets": (FRAME, None, "training y is None"),
}


@pytest.mark.parametrize("case", BAD)
def test_says_which_column(case):
    X, y, match = BAD[case]
    with pytest.raises(InvalidDataError, match=match):
        as_data(X, y)
