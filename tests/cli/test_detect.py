"""``dataval detect``: what it finds in arrays, tables and real tables, and what it writes."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

import dataval as dv
from dataval.cli.main import main
from dataval.evaluation import noise_detection

NAMES = ["malignant", "benign"]
JUDGED = ["rank", "row", "label", "value", "probability_wrong"]


@pytest.fixture(scope="module")
def planted():
    """Breast cancer with a tenth of the labels flipped."""
    data = dv.datasets.load_breast_cancer(n_val=1)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.1, seed=0)
    return data.X_train, y, is_noisy


def write_csv(path, X, labels, name="diagnosis"):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*(f"feature {i}" for i in range(X.shape[1])), name])
        writer.writerows([*row, label] for row, label in zip(X.tolist(), labels, strict=True))
    return path


def parsed(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("method", ["mean-loss", "held-out-loss"])
def test_planted_errors_of_a_csv_are_found(planted, tmp_path, capsys, method):
    X, y, is_noisy = planted
    path = write_csv(tmp_path / "data.csv", X, [NAMES[label] for label in y])
    assert main(["detect", str(path), "--label", "diagnosis", "--method", method]) == 0
    rows = parsed(capsys.readouterr().out)
    found = np.array([int(row["row"]) for row in rows])
    values = np.array([float(row["value"]) for row in rows])
    assert sorted(found) == list(range(len(y)))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(y) + 1))
    assert (np.diff(values) >= 0).all()
    assert [row["label"] for row in rows] == [NAMES[y[i]] for i in found]
    # Measured: 0.99 for the mean loss, 0.97 for the held-out loss.
    assert noise_detection(values, is_noisy[found], n_bootstrap=0).auroc.value > 0.95
    assert is_noisy[found[:20]].mean() >= 0.9


def test_images_of_an_npz(tmp_path, capsys):
    data = dv.datasets.load_digits(n_val=1, n_train=500)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.1, seed=0)
    images = np.round(data.X_train[:, 0] * 255).astype(np.uint8)
    np.savez(tmp_path / "data.npz", X=images, y=y)
    target = tmp_path / "found.csv"
    assert main(["detect", str(tmp_path / "data.npz"), "--out", str(target), "--top", "30"]) == 0
    assert capsys.readouterr().out == ""
    rows = parsed(target.read_text())
    assert len(rows) == 30
    # Measured: 30 of 30, of 50 planted; at random 3.
    assert sum(is_noisy[int(row["row"])] for row in rows) >= 22
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "found.csv"]


def test_parquet_and_csv_give_the_same(planted, tmp_path, capsys, monkeypatch):
    pd = pytest.importorskip("pandas")
    X, y, _ = planted
    path = write_csv(tmp_path / "data.csv", X[:60], y[:60])
    frame = pd.read_csv(path)
    (tmp_path / "data.parquet").write_bytes(b"")
    monkeypatch.setattr(pd, "read_parquet", lambda _: frame)  # pyarrow need not be installed
    outputs = []
    for name in ("data.csv", "data.parquet"):
        assert main(["detect", str(tmp_path / name), "--label", "diagnosis"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_the_seed_decides(planted, tmp_path, capsys):
    X, y, _ = planted
    path = write_csv(tmp_path / "data.csv", X[:60], y[:60], "y")
    outputs = []
    for seed in ("0", "0", "1"):
        assert main(["detect", str(path), "--epochs", "1", "--seed", seed]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


# ---- real tables ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def iris():
    """The names of the columns, and 150 rows of text."""
    bunch = load_iris()
    names = [str(bunch.target_names[label]) for label in bunch.target]
    rows = [[*map(str, row), name] for row, name in zip(bunch.data.tolist(), names, strict=True)]
    return ["a", "b", "c", "d", "species"], rows


@pytest.fixture
def detected(tmp_path, capsys, iris):
    """Write a table, rank it, and return the rows with what was said."""

    def run(name, rows=None, *, header=True, delimiter=",", label="species", options=()):
        names, original = iris
        rows = original if rows is None else rows
        stream = io.StringIO()
        names = names if header is True else header
        csv.writer(stream, delimiter=delimiter).writerows([*([names] if names else []), *rows])
        content = stream.getvalue().encode()
        packers = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
        path = tmp_path / name
        path.write_bytes(packers.get(path.suffix, bytes)(content))
        assert main(["detect", str(path), "--label", label, *options]) == 0
        captured = capsys.readouterr()
        assert all(line.startswith("dataval: note: ") for line in captured.err.splitlines())
        return parsed(captured.out), captured.err

    return run


def test_the_columns_of_the_output(detected, iris):
    names, original = iris
    rows, said = detected("iris.csv")
    assert list(rows[0]) == [*JUDGED, "suggested_label", "confidence", *names]
    assert "150 rows, 4 columns to learn from (4 of numbers)" in said
    assert "classification of 'species', 3 classes ('setosa' 50, " in said
    for row in rows:
        assert [row[name] for name in names] == original[int(row["row"])]
        assert row["label"] == row["species"]
        assert row["suggested_label"] in {"setosa", "versicolor", "virginica"}
        assert 1 / 3 <= float(row["confidence"]) <= 1  # of the likeliest of three


def test_a_column_whose_name_is_taken(detected, iris):
    names = ["label", "rank", "input_rank", "value", "species"]
    rows, _ = detected("taken.csv", header=names)
    own = ["input_label", "input_rank", "input_input_rank", "input_value", "species"]
    assert list(rows[0])[7:] == own
    assert rows[0]["input_label"] == iris[1][int(rows[0]["row"])][0]


@pytest.mark.parametrize("name", ["i.csv.gz", "i.csv.bz2", "i.tsv.xz", "iris.tsv", "semi.csv", "bar.csv"])
def test_delimiters_and_compression_change_nothing(detected, name):
    delimiter = {"iris.tsv": "\t", "i.tsv.xz": "\t", "semi.csv": ";", "bar.csv": "|"}.get(name, ",")
    assert detected(name, delimiter=delimiter) == detected("iris.csv")


@pytest.mark.parametrize(("label", "header"), [("setosa", []), ("4", []), ("4", ["--no-header"])])
def test_without_a_header_all_rows_are_ranked(detected, label, header):
    rows, said = detected("bare.csv", header=None, label=label, options=header)
    assert len(rows) == 150
    assert list(rows[0])[7:] == ["0", "1", "2", "3", "4"]
    assert ("looks like data" in said) == (not header)


def test_names_dates_and_missing_cells(detected, iris):
    names, original = iris
    real = [
        [f"flower {i}, no. {i}", f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}", *row]
        for i, row in enumerate(original)
    ]
    for row in (3, 8, 20):
        real[row][2] = ""
    real[5][3] = "?"
    real[9][-1] = ""
    rows, said = detected("real.csv", real, header=["Name", "when", *names])
    assert sorted(int(row["row"]) for row in rows) == sorted({*range(150)} - {9})
    assert [line.removeprefix("dataval: note: ") for line in said.splitlines()][1:-1] == [
        "rows left out, as they have no label: 1",
        "columns left out, as their text is different in every row (--text to learn from their words): 'Name'",
        "columns of dates, taken as numbers of days: 'when'",
        "columns with missing cells, filled in by the median and marked: 'a', 'b'",
    ]


def test_numbers_to_predict(detected):
    bunch = load_diabetes()
    rows = [[*map(str, x), str(y)] for x, y in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)]
    wrong = [7, 100, 300]
    for row in wrong:
        rows[row][-1] = "3000"
    names = [*bunch.feature_names, "target"]
    ranked, said = detected("diabetes.csv", rows, header=names, label="target")
    assert list(ranked[0]) == [*JUDGED, "suggested_value", *names]
    assert "taken as numbers to predict" in said
    # Ten times what any patient has: whatever two epochs learnt, nothing else can have a larger error.
    assert sorted(int(row["row"]) for row in ranked[:3]) == wrong
    # Their own unit: the mean is 152, of the labels with the three that are wrong 171.
    assert 50 < np.mean([float(row["suggested_value"]) for row in ranked]) < 300


def test_a_formula_in_a_cell_is_text(detected, iris):
    rows = [[*row[:-1], "=1+1" if row[-1] == "setosa" else row[-1]] for row in iris[1]]
    ranked, _ = detected("formula.csv", rows)
    assert {row["label"] for row in ranked} == {"'=1+1", "versicolor", "virginica"}
    assert {row["species"] for row in ranked} == {"'=1+1", "versicolor", "virginica"}


def test_the_suggestion_does_not_know_the_label(tmp_path, capsys):
    """A model that saw a flipped label could repeat it; one that didn't names the true class."""
    X = np.linspace(-1, 1, 100)[:, None] * np.ones(3)
    y = (X[:, 0] > 0).astype(int)
    flipped = [10, 30, 70, 90]
    y[flipped] = 1 - y[flipped]
    path = write_csv(tmp_path / "d.csv", X, y, "y")
    assert main(["detect", str(path), "--top", "4"]) == 0
    rows = parsed(capsys.readouterr().out)
    assert sorted(int(row["row"]) for row in rows) == flipped
    assert all(row["suggested_label"] == str(1 - int(row["label"])) for row in rows)
