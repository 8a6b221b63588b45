"""``dataval detect``: what it finds, what it writes, and how malformed files end."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

import dataval as dv
from dataval.cli.errors import UsageError
from dataval.cli.main import main
from dataval.cli.tables import read_samples
from dataval.evaluation import noise_detection

NAMES = ["malignant", "benign"]


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
        assert main(["detect", str(tmp_path / name), "--label", "diagnosis", "--epochs", "2"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_parquet_without_pandas_is_explained(tmp_path, monkeypatch):
    (tmp_path / "data.parquet").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(UsageError, match=r'pip install "dataval\[tables\]"'):
        read_samples(tmp_path / "data.parquet", None)


def test_the_seed_decides(planted, tmp_path, capsys):
    X, y, _ = planted
    path = write_csv(tmp_path / "data.csv", X[:60], y[:60], "y")
    outputs = []
    for seed in ("0", "0", "1"):
        assert main(["detect", str(path), "--epochs", "1", "--seed", seed]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


# ---- reading -------------------------------------------------------------------------------------


def test_columns_become_standardised_numbers_and_categories(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("size,colour,same,y\n1,red,7,b\n2,blue,7,a\n3,red,7,b\n\n")
    samples = read_samples(path, None)
    np.testing.assert_allclose(samples.X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(samples.X.std(axis=0), [1, 1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(samples.X[:, 0], [-1.2247, 0, 1.2247], atol=1e-4)
    assert (samples.X[:, 1] > 0).tolist() == [False, True, False]
    assert samples.y.tolist() == [1, 0, 1]
    assert samples.classes == ("a", "b")


@pytest.mark.parametrize("shape", [(8, 6, 5), (8, 6, 5, 1), (8, 1, 6, 5)])
def test_images_get_their_channel_first(tmp_path, shape):
    X = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.savez(tmp_path / "a.npz", X=X, target=np.arange(8) % 2)
    samples = read_samples(tmp_path / "a.npz", "target")
    assert samples.X.shape == (8, 1, 6, 5)
    np.testing.assert_allclose(samples.X.reshape(-1), X.reshape(-1) / 255, rtol=1e-6)


MALFORMED = {
    "no label": ("a,b\n1,2\n3,4\n", "no column 'y'"),
    "empty": ("", "is empty"),
    "header only": ("a,y\n", "is empty"),
    "one class": ("a,y\n1,u\n2,u\n", "two classes or more"),
    "ragged": ("a,y\n1,u\n2\n", "row 2 has 1 cells"),
    "no features": ("y\nu\nv\n", "no features"),
    "empty cell": ("a,y\n1,u\n,v\n", "1 empty cells"),
    "empty label": ("a,y\n1,u\n2,\n", "1 empty cells"),
    "NaN": ("a,y\n1,u\nnan,v\n", "NaN or infinity"),
    "twice": ("a,a,y\n1,2,u\n1,2,v\n", "same name"),
    "few": ("a,y\n1,u\n2,v\n", "at least 10"),
    "text": ("a,y\n" + "".join(f"name {i},{i % 2}\n" for i in range(60)), "not numeric and has 60"),
    "regression": ("a,y\n" + "".join(f"{i},{i / 7}\n" for i in range(60)), "classes are needed"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_tables_end_in_one_line_and_code_2(tmp_path, capsys, case):
    content, message = MALFORMED[case]
    path = tmp_path / "data.csv"
    path.write_text(content)
    assert_usage_error(["detect", str(path)], message, capsys)


def test_malformed_arrays_end_in_one_line_and_code_2(tmp_path, capsys):
    X, y = np.zeros((12, 3)), np.arange(12) % 2
    for arrays, message in [
        ({"X": X}, "no array 'y'"),
        ({"y": y}, "no array 'X'"),
        ({"X": X[:5], "y": y}, r"X has shape (5, 3)"),
        ({"X": X[:0], "y": y[:0]}, "X has shape (0, 3)"),
        ({"X": X * np.nan, "y": y}, "finite"),
        ({"X": X.astype(str), "y": y}, "finite numbers"),
        ({"X": X, "y": y * 0}, "two classes or more"),
    ]:
        np.savez(tmp_path / "a.npz", **arrays)
        assert_usage_error(["detect", str(tmp_path / "a.npz")], message, capsys)
    (tmp_path / "b.npz").write_bytes(b"nonsense")
    assert_usage_error(["detect", str(tmp_path / "b.npz")], "without pickle", capsys)


def test_other_mistakes_end_in_one_line_and_code_2(planted, tmp_path, capsys):
    assert_usage_error(["detect", "none.csv"], "there is no file none.csv", capsys)
    assert_usage_error(["detect", "data.txt"], "must end in", capsys)
    X, y, _ = planted
    path = str(write_csv(tmp_path / "data.csv", X, y, "y"))
    assert_usage_error(["detect", path, "--model", "lenet"], "takes images", capsys)
    assert_usage_error(
        ["detect", path, "--epochs", "1", "--out", str(tmp_path / "no" / "x.csv")], "can't write", capsys
    )
    for arguments in (["detect"], ["detect", path, "--top", "0"], ["detect", path, "--method", "magic"], []):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


def assert_usage_error(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert message in captured.err
