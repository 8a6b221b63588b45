"""Images of a folder's folders, read one by one."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.data import as_data
from dataval.errors import InvalidDataError

Image = pytest.importorskip("PIL.Image")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images, with what is no image beside them."""
    for i in range(6):
        path = tmp_path / ("dog" if i % 2 else "cat") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.roll(PIXELS, i, axis=0)).save(path)
    (tmp_path / "cat" / "notes.txt").write_text("none")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "readme.txt").write_text("none")
    return tmp_path


def test_classes_are_folders(folder):
    images = dv.datasets.image_folder(folder)
    assert images.classes == ("cat", "dog")
    assert [path.name for path in images.paths] == ["0.png", "2.png", "4.png", "1.png", "3.png", "5.png"]
    np.testing.assert_array_equal(images.labels, [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("channels", ["first", "last"])
def test_pixels_lie_between_0_and_1(folder, channels):
    data = as_data(dv.datasets.image_folder(folder, channels=channels)).take(np.array([3, 0]))
    expected = np.stack([np.roll(PIXELS, i, axis=0) for i in (1, 0)]) / np.float32(255)
    np.testing.assert_array_equal(
        data.inputs, expected if channels == "last" else expected.transpose(0, 3, 1, 2)
    )
    np.testing.assert_array_equal(data.targets, [1, 0])


def test_sizes_and_grey(folder):
    images = dv.datasets.image_folder(folder, size=(4, 8), mode="L")
    assert images[0][0].shape == (1, 4, 8)
    assert images[0][0].dtype == np.float32
    assert dv.datasets.image_folder(folder, size=7)[0][0].shape == (3, 7, 7)


def test_sizes_that_differ_are_named(folder):
    Image.fromarray(PIXELS[:3]).save(folder / "dog" / "9.png")
    with pytest.raises(InvalidDataError, match=r"X of sample 6 has shape \(3, 3, 5\), of sample 0 .*resize"):
        as_data(dv.datasets.image_folder(folder))


def test_says_what_is_wrong(folder, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        dv.datasets.image_folder(folder / "fish")
    with pytest.raises(InvalidDataError, match="has no folders"):
        dv.datasets.image_folder(tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match=r"size must be a number of pixels or \(height, width\)"):
        dv.datasets.image_folder(folder, size=(1, 2, 3))
    (folder / "dog" / "1.png").write_bytes(b"none")
    with pytest.raises(InvalidDataError, match=r"dog/1.png can't be read as an image"):
        as_data(dv.datasets.image_folder(folder)).take(np.array([3]))
    (folder / "fish").mkdir()
    with pytest.raises(InvalidDataError, match="fish has no images"):
        dv.datasets.image_folder(folder)
