"""How files become samples: columns, labels, delimiters, headers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dataval.cli.columns import MOST_CATEGORIES, make_features
from dataval.cli.delimited import read_delimited
from dataval.cli.errors import UsageError
from dataval.cli.numbers import is_code, is_number
from dataval.cli.samples import Wanted, read_samples
from dataval.cli.targets import make_targets


def features_of(columns, **options):
    found = make_features(pd.DataFrame(columns, dtype=str), **options)
    return found.X, found.notes


@pytest.mark.parametrize("text", ["1", "-1.5", "+2", ".5", "5.", "1e-05", "1e+16", "1.5e3", "0", "0.0", "-0"])
def test_numbers(text):
    assert is_number(text)
    assert not is_code(text)


@pytest.mark.parametrize(
    "text",
    ["", "3_7", "nan", "inf", "-inf", "Infinity", "1e5", "0x10", "1,5", "12%", "1 000", "\u0663", "--1"],
)
def test_what_python_or_a_person_might_read_as_a_number(text):
    assert not is_number(text)


@pytest.mark.parametrize("text", ["007", "-01", "00", "00.5"])
def test_codes(text):
    assert is_code(text)


def test_columns_become_standardised_numbers_and_categories(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("size,colour,same,y\n" + "1,red,7,b\n2,blue,7,a\n3,red,7,b\n\n" * 4)
    samples = read_samples(path, Wanted())
    # float32 holds seven digits.
    np.testing.assert_allclose(samples.X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(samples.X.std(axis=0), [1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(samples.X[:3, 0], [-1.2247, 0, 1.2247], atol=1e-4)
    assert (samples.X[:3, 1] > 0).tolist() == [False, True, False]
    assert samples.y.tolist() == [1, 0, 1] * 4
    assert samples.classes == ("a", "b")
    assert samples.notes == ["columns left out, as they are the same in every row: 'same'"]


@pytest.mark.parametrize(
    ("kind", "cells", "expected", "said"),
    [
        ("numbers", ["1", "2", "2.5"], 1, ""),
        ("codes", ["3_7", "3_8", "3_7"], 2, ""),
        ("leading zeros", ["007", "010", "007"], 2, "are codes"),
        ("hexadecimal", ["0x10", "10", "11"], 3, ""),
        ("exponents as codes", ["1e5", "2e5", "2e6"], 3, ""),
        ("booleans", ["True", "False", "True"], 2, ""),
        ("percent", ["10%", "20%", "30%"], 1, "read as numbers"),
        ("thousands", ["1,000", "2,000", "1,500"], 1, "read as numbers"),
        ("money", ["$10", "$20", "$30"], 1, "read as numbers"),
        ("missing numbers", ["1", "", "?"], 2, "filled in by the median"),
        ("a missing category", ["x", "", "y"], 3, "category of their own"),
        ("infinity", ["1", "2", "3", "4", "5", "inf"], 2, "filled in by the median"),
        ("a word among numbers", ["1", "2", "3", "4", "5", "unknown"], 2, "filled in by the median"),
        ("words among numbers", ["1", "low", "3", "high", "5", "mid"], 6, ""),
        ("ISO dates", ["2024-01-31", "2023-05-01", "2024-01-31"], 1, "dates"),
        ("moments", ["2024-01-31 12:00:00", "2023-05-01T01:00:00Z", "2024-01-31 12:00"], 1, "dates"),
        ("days first", ["31.01.2024", "1.5.2023", "1.5.2023"], 1, "dates"),
        ("months first", ["01/31/2024", "5/1/2023", "5/1/2023"], 1, "dates"),
        ("a missing date", ["2024-01-31", "2023-05-01", ""], 2, "dates"),
        ("no date", ["2024-13-31", "2023-05-01", "2023-05-01"], 2, ""),
        ("names", ["x", "y", "z"], 0, "different in every row"),
        ("constant", ["x", "x", "x"], 0, "the same in every row"),
        ("empty", ["", "NA", "?"], 0, "no cell is filled"),
        ("huge numbers", ["1e+300", "-1e+308", "0"], 1, ""),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 25 else "",
)
def test_what_a_column_becomes(kind, cells, expected, said):
    repeats = 1 if kind == "names" else 4
    columns = {"a": cells * repeats, "other": [str(i % 2) for i in range(len(cells) * repeats)]}
    features, notes = features_of(columns)
    assert features.shape[1] - 1 == expected
    assert np.isfinite(features).all()
    assert said in "".join(notes)
    assert bool(notes) == bool(said)


def test_dates_are_days():
    days = ["2024-01-01", "2024-01-02", "2024-03-01"] * 2
    found, _ = features_of({"when": days})
    expected, _ = features_of({"when": ["0", "1", "60"] * 2})
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32 of numbers around 19,723 days


def test_many_categories_are_cut():
    cells = [f"common {i % 3}" for i in range(90)] + [f"rare {i}" for i in range(60)] * 2
    features, notes = features_of({"a": cells})
    assert features.shape == (210, MOST_CATEGORIES + 1)
    assert "rarer are taken together" in notes[0]
    # The 13 rarest of 63 share a column: 26 rows of 210 are in it.
    assert (features[:, -1] > 0).sum() == 26


def test_row_numbers_are_left_out_where_they_are_called_so():
    rows = [str(i) for i in range(20)]
    with pytest.raises(UsageError, match="look like row numbers or ids"):
        features_of({"id": rows})
    assert features_of({"year": rows})[0].shape == (20, 1)


@pytest.mark.parametrize("shape", [(12, 6, 5), (12, 6, 5, 1), (12, 1, 6, 5)])
def test_images_get_their_channel_first(tmp_path, shape):
    X = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.savez(tmp_path / "a.npz", X=X, target=np.arange(12) % 2)
    samples = read_samples(tmp_path / "a.npz", Wanted("target"))
    assert samples.X.shape == (12, 1, 6, 5)
    np.testing.assert_allclose(samples.X.reshape(-1), X.reshape(-1) / 255, rtol=1e-6)  # float32


@pytest.mark.parametrize(
    ("labels", "is_regression"),
    [
        (["u", "v"] * 20, False),
        ([str(i % 2) for i in range(40)], False),
        ([f"{i % 2}.0" for i in range(40)], False),
        ([str(i % 10) for i in range(1000)], False),
        ([str(i % 100) for i in range(5000)], False),
        ([str(i / 7) for i in range(60)], True),
        ([str(i % 60) for i in range(400)], True),
        ([str(i) for i in range(12)], True),
        ([str(i % 150) for i in range(9000)], True),
        ([f"0{i % 5}" for i in range(60)], False),
        ([f"{i % 5}_{i % 3}" for i in range(60)], False),
        ([f"1e{i % 9}" for i in range(60)], False),
    ],
)
def test_what_labels_are(labels, is_regression):
    targets, _ = make_targets(labels, "y", None)
    assert (targets.classes == ()) == is_regression
    if is_regression:
        # Back in the unit of the file; float32 of numbers up to 150.
        back = targets.y[:, 0] * targets.scale + targets.center
        np.testing.assert_allclose(back, [float(label) for label in labels], atol=1e-4)


def test_the_task_can_be_said():
    labels = [str(i % 3) for i in range(30)]
    assert make_targets(labels, "y", "regression")[0].y.shape == (30, 1)
    assert make_targets([str(i % 15 + 0.5) for i in range(60)], "y", "classification")[0].y.shape == (60,)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1,x\n2,y\n", ["a", "b"]),
        ("0,1,y\n1,2,u\n3,4,v\n", ["0", "1", "y"]),
        ("a,b\nx,u\ny,v\n", ["a", "b"]),
        ("2020,2021,b\n1,2,u\n3,4,v\n", ["2020", "2021", "b"]),
        (" a , b \n1,x\n2,y\n", ["a", "b"]),
        (",b\n1,x\n2,y\n", ["column 0", "b"]),
        ("\ufeffa,b\n1,x\n2,y\n", ["a", "b"]),
        ("a;b\n1,5;x\n2,5;y\n", ["a", "b"]),
        ("a\tb\n1,5\tx;z\n2,5\ty;z\n", ["a", "b"]),
        ('"a, or; so",b\n1,x\n2,y\n', ["a, or; so", "b"]),
        ('"a\nb",b\n1,x\n2,y\n', ["a\nb", "b"]),
        ("a,b\r\n1,x\r\n2,y\r\n", ["a", "b"]),
        ("1,x\n2,y\n1,x\n", ["0", "1"]),
        ("1\tx\n2\ty\n1\tx\n", ["0", "1"]),
        ("?,x\n2,y\n1,x\n", ["0", "1"]),
    ],
)
def test_headers_and_delimiters(tmp_path, text, names):
    (tmp_path / "d.csv").write_text(text, encoding="utf-8", newline="")
    label = "1" if names == ["0", "1"] else names[-1]
    table = read_delimited(tmp_path / "d.csv", label, None)
    assert list(table.frame) == names
    n_rows = len(text.strip().splitlines()) - (names != ["0", "1"]) - text.startswith('"a\n')
    assert len(table.frame) == n_rows


@pytest.mark.parametrize(("header", "n_rows"), [(True, 2), (False, 3)])
def test_the_header_can_be_said(tmp_path, header, n_rows):
    (tmp_path / "d.csv").write_text("1,x\n2,y\n1,x\n")
    label = "x" if header else "1"
    table = read_delimited(tmp_path / "d.csv", label, header)
    assert len(table.frame[table.label]) == n_rows
    assert table.notes == []
