"""Images in folders, one folder a class, read one by one."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described, one_of, some_folder, whole_number
from dataval.errors import InvalidDataError

__all__ = ["ImageFolder", "image_folder"]

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

Mode = Literal["RGB", "L"]
Channels = Literal["first", "last"]


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder's folders, opened when they are asked for.

    ``folder[i]`` is the pair of an image, float32 in [0, 1], and the number of its class.

    Attributes
    ----------
    paths : tuple of Path
        Of all images, class by class, each class in the order of names.
    labels : ndarray of int64, shape (N,)
        Number of each image's class.
    classes : tuple of str
        Names of the classes, sorted.
    size : tuple of int or None
        (height, width) that images are resized to; None where they are left as they are.
    mode : {"RGB", "L"}
        Three channels, or one of grey.
    channels : {"first", "last"}
        Which axis the channels are.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    size: tuple[int, int] | None
    mode: Mode
    channels: Channels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], int]:
        return self._read(self.paths[index]), int(self.labels[index])

    def _read(self, path: Path) -> NDArray[np.float32]:
        from PIL import Image

        try:
            with Image.open(path) as image:
                found = image.convert(self.mode)
        except OSError as error:
            raise InvalidDataError(f"{path} can't be read as an image: {error}") from error
        if self.size is not None:
            found = found.resize(self.size[::-1], Image.Resampling.BILINEAR)
        pixels = np.asarray(found, dtype=np.float32).reshape(found.height, found.width, -1) / np.float32(255)
        return pixels.transpose(2, 0, 1) if self.channels == "first" else pixels


def image_folder(
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    mode: Mode = "RGB",
    channels: Channels = "first",
) -> ImageFolder:
    """Find the images of a folder, whose folders are the classes; they are read one by one when needed.

    Parameters
    ----------
    path : path
        ``path/cat/1.png``, ``path/dog/2.jpg``, ...: every folder in it is a class, with whatever images are
        anywhere below it. Names that begin with a dot are left out.
    size : int or (height, width), optional
        What images are resized to, by bilinear interpolation. By default they are left as they are, and must
        all be of one size.
    mode : {"RGB", "L"}, default "RGB"
        Three channels, or one of grey.
    channels : {"first", "last"}, default "first"
        Shape ``(channels, height, width)`` as PyTorch has it, or ``(height, width, channels)`` as Keras does.

    Returns
    -------
    ImageFolder
        A data set: pass it as it is, ``HyDRA(learner).fit(folder)``. It has ``classes``, ``labels`` and
        ``paths``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InvalidDataError
        If it has no folders, or one of them no images.
    ImportError
        If Pillow is not installed.

    Examples
    --------
    >>> images = dv.datasets.image_folder("photos", size=64)
    >>> values = dv.HyDRA(learner).fit(images).score(dv.datasets.image_folder("held_out", size=64))
    """
    if importlib.util.find_spec("PIL") is None:
        raise ImportError("image_folder needs Pillow: pip install 'dataval[images]'")
    folder = some_folder("path", path)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found = {each.name: _images(each) for each in sorted(folder.iterdir()) if _is_class(each)}
    if not found:
        raise InvalidDataError(f"{folder} has no folders: put the images of each class in a folder of its own")
    return ImageFolder(
        paths=tuple(each for images in found.values() for each in images),
        labels=np.repeat(np.arange(len(found)), [len(images) for images in found.values()]),
        classes=tuple(found),
        size=_as_size(size),
        mode=one_of("mode", mode, ("RGB", "L")),
        channels=one_of("channels", channels, ("first", "last")),
    )


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _images(folder: Path) -> list[Path]:
    found = sorted(
        each
        for each in folder.rglob("*")
        if each.suffix.lower() in _SUFFIXES and not each.name.startswith(".") and each.is_file()
    )
    if not found:
        raise InvalidDataError(f"the class folder {folder} has no images ({', '.join(sorted(_SUFFIXES))})")
    return found


def _as_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    if isinstance(size, tuple | list):
        if len(size) != 2:
            raise ValueError(f"size must be a number of pixels or (height, width), got {described(size)}")
        height, width = (whole_number("size", each, minimum=1) for each in size)
        return height, width
    side = whole_number("size", size, minimum=1)
    return side, side
