"""Data sets: shapes, ranges and splits, and Fashion-MNIST from fabricated and real files."""

import dataclasses
import gzip
import struct
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets

from dataval import datasets

PACKAGED = Path("/usr/share/datasets/fashion-mnist")
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def fabricate(folder, *, compress=False, n_train=12, n_val=5):
    """Write the four files; the first pixel of image i is i, its label i mod 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, n in (("train", n_train), ("t10k", n_val)):
        images = np.zeros((n, 28, 28))
        images[:, 0, 0] = np.arange(n)
        images[:, 27, 5] = 255
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(n) % 10)):
            content = idx_bytes(array)
            name = f"{prefix}-{kind}-ubyte" + (".gz" if compress else "")
            (folder / name).write_bytes(gzip.compress(content) if compress else content)
    return folder


@pytest.fixture
def no_packaged_files(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "_PACKAGED_FOLDER", tmp_path / "not-installed")
    monkeypatch.delenv("DATAVAL_DATA", raising=False)


@pytest.mark.parametrize("compress", [False, True])
def test_fashion_mnist_from_fabricated_files(tmp_path, compress):
    data = datasets.load_fashion_mnist(folder=fabricate(tmp_path, compress=compress))
    assert data.X_train.shape == (12, 1, 28, 28)
    assert data.X_val.shape == (5, 1, 28, 28)
    assert data.X_train.dtype == data.X_val.dtype == np.float32
    assert data.y_train.dtype == data.y_val.dtype == np.int64
    which = np.rint(data.X_train[:, 0, 0, 0] * 255).astype(int)
    assert sorted(which) == list(range(12))
    np.testing.assert_array_equal(data.y_train, which % 10)
    np.testing.assert_array_equal(data.X_train[:, 0, 27, 5], np.float32(1))
    np.testing.assert_array_equal(data.X_train[:, 0, 5, 27], np.float32(0))
    assert sorted(np.rint(data.X_val[:, 0, 0, 0] * 255)) == list(range(5))


def test_smaller_draws_are_the_beginning_of_larger_ones(tmp_path):
    folder = fabricate(tmp_path)
    whole = datasets.load_fashion_mnist(folder=folder)
    part = datasets.load_fashion_mnist(folder=folder, n_train=4, n_val=2)
    np.testing.assert_array_equal(part.X_train, whole.X_train[:4])
    np.testing.assert_array_equal(part.y_train, whole.y_train[:4])
    np.testing.assert_array_equal(part.X_val, whole.X_val[:2])
    other = datasets.load_fashion_mnist(folder=folder, seed=1)
    assert not np.array_equal(whole.y_train, other.y_train)


@pytest.mark.parametrize("subfolder", ["", "fashion-mnist"])
def test_folder_from_the_environment(tmp_path, monkeypatch, no_packaged_files, subfolder):
    fabricate(tmp_path / subfolder)
    monkeypatch.setenv("DATAVAL_DATA", str(tmp_path))
    assert len(datasets.load_fashion_mnist().y_train) == 12


def test_packaged_folder_is_the_last_one_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_PACKAGED_FOLDER", fabricate(tmp_path / "packaged", n_train=7))
    monkeypatch.setenv("DATAVAL_DATA", str(tmp_path / "empty"))
    assert len(datasets.load_fashion_mnist().y_train) == 7
    monkeypatch.setenv("DATAVAL_DATA", str(fabricate(tmp_path / "own", n_train=8)))
    assert len(datasets.load_fashion_mnist().y_train) == 8
    folder = fabricate(tmp_path / "argument", n_train=9)
    assert len(datasets.load_fashion_mnist(folder=folder).y_train) == 9


def test_folder_that_lacks_a_file_is_refused(tmp_path):
    fabricate(tmp_path)
    (tmp_path / NAMES[2]).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {NAMES[2]} "):
        datasets.load_fashion_mnist(folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"<html>", "not an IDX file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x00", "not an IDX file"),
        (b"\x00\x00\x08\x03\x00\x00", "not an IDX file"),
        (idx_bytes(np.zeros((12, 28, 28)))[:-1], "holds 9407 entries"),
        (idx_bytes(np.zeros((11, 28, 28))), "for 12 labels"),
        (idx_bytes(np.zeros((12, 27, 28))), "28 x 28 pixels"),
    ],
)
def test_broken_files_are_refused(tmp_path, content, message):
    fabricate(tmp_path)
    (tmp_path / NAMES[0]).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        datasets.load_fashion_mnist(folder=tmp_path)


def test_offline_error_says_where_to_put_the_files(monkeypatch, no_packaged_files):
    def offline(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", offline)
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte.*DATAVAL_DATA"):
        datasets.load_fashion_mnist()


def test_download_takes_the_first_rows_for_training(monkeypatch, no_packaged_files):
    asked = []

    def fetch(name, **options):
        asked.append((name, options["version"]))
        pixels = np.zeros((70_000, 784), dtype=np.uint8)
        pixels[60_000:] = 255
        return SimpleNamespace(data=pixels, target=(np.arange(70_000) % 10).astype(str))

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = datasets.load_fashion_mnist(n_train=100, n_val=50)
    assert asked == [("Fashion-MNIST", 1)]
    assert data.X_train.max() == 0.0
    assert data.X_val.min() == 1.0
    assert data.y_val.dtype == np.int64


@pytest.mark.skipif(not PACKAGED.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_real_fashion_mnist():
    data = datasets.load_fashion_mnist(n_train=500, n_val=300, folder=PACKAGED)
    assert data.X_train.shape == (500, 1, 28, 28)
    assert data.X_train.min() == 0.0
    assert data.X_train.max() == 1.0
    assert data.X_train.mean() == pytest.approx(0.286, abs=0.02)  # of all 60,000: 0.2860
    assert set(data.y_train) == set(data.y_val) == set(range(10))
    # Trousers (1) leave the lower corners empty, bags (8) do not.
    lower = data.X_train[:, 0, 20:, :6].mean(axis=(1, 2))
    assert lower[data.y_train == 1].mean() < 0.1 * lower[data.y_train == 8].mean()


def test_digits_are_images():
    data = datasets.load_digits()
    assert data.X_train.shape == (1297, 1, 8, 8)
    assert data.X_val.shape == (500, 1, 8, 8)
    assert data.X_train.dtype == np.float32
    assert data.y_train.dtype == np.int64
    assert data.X_train.min() == 0.0
    assert data.X_train.max() == 1.0
    bundled = sklearn.datasets.load_digits()
    rows = {(*image.ravel(), label) for image, label in zip(bundled.data, bundled.target, strict=True)}
    shown = data.X_val[7, 0].ravel() * 16
    assert (*shown.astype(float), data.y_val[7]) in rows


LOADERS = {
    "digits": (datasets.load_digits, 1797, 10),
    "breast_cancer": (datasets.load_breast_cancer, 569, 2),
    "wine": (datasets.load_wine, 178, 3),
}


@pytest.mark.parametrize("name", LOADERS)
def test_split_covers_every_sample_once(name):
    load, total, n_classes = LOADERS[name]
    data = load(n_val=40)
    assert (data.name, data.n_classes, len(data.class_names)) == (name, n_classes, n_classes)
    assert len(data.y_train) == total - 40
    assert len(data.y_val) == 40
    labels = np.concatenate([data.y_train, data.y_val])
    bundled = getattr(sklearn.datasets, f"load_{name}")()
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(bundled.target))
    assert name in repr(data)


@pytest.mark.parametrize("name", LOADERS)
def test_split_depends_on_the_seed_alone(name):
    load = LOADERS[name][0]
    data, again, small = load(n_val=40), load(n_val=40), load(n_train=20, n_val=40)
    np.testing.assert_array_equal(data.X_train, again.X_train)
    np.testing.assert_array_equal(data.y_val, small.y_val)
    np.testing.assert_array_equal(data.y_train[:20], small.y_train)
    assert len(small.y_train) == 20
    assert not np.array_equal(data.y_val, load(n_val=40, seed=1).y_val)


@pytest.mark.parametrize("load", [datasets.load_breast_cancer, datasets.load_wine])
def test_features_are_standardized_over_the_training_samples(load):
    data, raw = load(n_train=60, n_val=30), load(n_train=60, n_val=30, standardize=False)
    np.testing.assert_allclose(data.X_train.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(data.X_train.std(axis=0), 1.0, rtol=1e-5)
    mean, spread = (np.float64(raw.X_train).mean(axis=0), np.float64(raw.X_train).std(axis=0))
    np.testing.assert_allclose(data.X_val, (raw.X_val - mean) / spread, atol=1e-3)
    assert data.X_val.dtype == raw.X_train.dtype == np.float32
    assert abs(data.X_val.mean(axis=0)).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 0}, "n_train asks for 0"),
        ({"n_train": 129}, "from 1 to 128"),
        ({"n_val": 178}, "n_val asks for"),
        ({"n_val": 0}, "n_val asks for 0"),
    ],
)
def test_counts_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load_wine(**options)


def test_fashion_mnist_counts_are_checked(tmp_path):
    with pytest.raises(ValueError, match="n_train asks for 13"):
        datasets.load_fashion_mnist(folder=fabricate(tmp_path), n_train=13)


def test_dataset_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        datasets.load_wine().name = "beer"
