"""Images in files: of a folder a class, or of a table's column of paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.errors import UsageError

__all__ = ["as_arrays", "column_of_paths", "read_folder", "read_images"]

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_SIDE, _LARGEST_SIDE = 32, 64
_MOST_SHOWN, _PROBED = 5, 20

Images = npt.NDArray[np.float32]


def read_folder(path: Path) -> tuple[Images, list[str], list[str]]:
    """Return the images of a folder whose folders are the classes, their labels, and their paths in it.

    Raises
    ------
    UsageError
        If it holds no such folders, Pillow is missing, or an image can't be read.
    """
    from dataval.datasets import image_folder

    try:
        found = image_folder(path)
    except (ValueError, ImportError, OSError) as error:
        raise UsageError(str(error)) from error
    labels = [found.classes[label] for label in found.labels.tolist()]
    return read_images(found.paths), labels, [str(each.relative_to(path)) for each in found.paths]


def column_of_paths(frame: Any, folder: Path) -> str | None:
    """Return the name of a column whose cells are paths of images that exist, seen from a folder, or None."""
    for name in frame.columns:
        cells = [str(cell).strip() for cell in frame[name].iloc[:_PROBED]]
        if all(cell.lower().endswith(_SUFFIXES) for cell in cells) and any(
            (folder / cell).is_file() for cell in cells
        ):
            return str(name)
    return None


def read_images(paths: Sequence[Path]) -> Images:
    """Return images as (n, channels, height, width) in [0, 1], as `as_arrays` does.

    Raises
    ------
    UsageError
        If some can't be read: the first few are named.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise UsageError("images need Pillow: pip install 'dataval[images]'") from error
    sizes, modes, odd = set(), set(), []
    for path in paths:
        try:
            with Image.open(path) as image:
                sizes.add(image.size)
                modes.add(image.mode)
        except (OSError, ValueError, Image.DecompressionBombError):
            odd.append(path)
    if not odd:
        return as_arrays((_opened(Image, path) for path in paths), len(paths), sizes, modes)
    more = f" and {len(odd) - _MOST_SHOWN} more" if len(odd) > _MOST_SHOWN else ""
    raise UsageError(f"can't be read as images: {', '.join(map(str, odd[:_MOST_SHOWN]))}{more}")


def as_arrays(images: Any, n: int, sizes: set[tuple[int, int]], modes: set[str]) -> Images:
    """Return images of Pillow as one array, resized to 32 by 32 unless all have one size of at most 64.

    They are grey where all of them are.
    """
    from PIL import Image

    width, height = next(iter(sizes)) if len(sizes) == 1 else (_SIDE, _SIDE)
    if max(width, height) > _LARGEST_SIDE:
        width, height = _SIDE, _SIDE
    mode = "L" if modes <= {"1", "L", "I;16"} else "RGB"
    found = np.empty((n, len(mode), height, width), dtype=np.float32)
    for i, image in enumerate(images):
        pixels = image.convert(mode)
        if pixels.size != (width, height):
            pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
        found[i] = np.asarray(pixels, dtype=np.float32).reshape(height, width, -1).transpose(2, 0, 1) / 255.0
    return found


def _opened(opener: Any, path: Path) -> Any:
    try:
        with opener.open(path) as image:
            image.load()
            return image
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read as an image: {error}") from error
