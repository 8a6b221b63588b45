"""Images of any layout, one by one as Pillow's."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.images import ImageFolder
from dataval.pixels import Layout, as_pixels

__all__ = ["Pictures", "as_pictures", "check_pillow", "looks_like_images"]


_BRIGHT = 127.0
"""Numbers up to 255 that reach this far are levels of 255."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images that are opened when they are asked for.

    Attributes
    ----------
    n : int
    open : callable
        Index to an image of Pillow's, grey ("L") or colour ("RGB").
    is_grey : bool
    side : int
        The longest side in pixels, as far as it is known beforehand.
    features : ndarray of shape (n, n_features), or None
        The pixels, where they are in memory.
    """

    n: int
    open: Callable[[int], Any]
    is_grey: bool
    side: int
    features: NDArray[Any] | None = None


def check_pillow() -> None:
    """Raise unless images can be written."""
    if importlib.util.find_spec("PIL") is None:
        raise ImportError("a report of images needs Pillow: pip install 'dataval[images]'")


def looks_like_images(X: Any) -> bool:
    """Return whether inputs have the shape of images, or are a folder of them."""
    return isinstance(X, ImageFolder) or (hasattr(X, "shape") and len(X.shape) in (3, 4))


def as_pictures(X: Any, layout: Layout) -> Pictures:
    """Take an array, an `ImageFolder`, or a sequence of paths or of Pillow's images."""
    check_pillow()
    if isinstance(X, ImageFolder):
        return _of_paths(X.paths, is_grey=X.mode == "L")
    if isinstance(X, Sequence) and not isinstance(X, str | bytes):
        return _of_sequence(X)
    try:
        array = np.asarray(X)
        pixels = as_pixels(array, layout)
    except (TypeError, ValueError) as error:
        raise ValueError(f"X can't be shown as images: {error}") from error
    if pixels.dtype.kind not in "biuf" or not pixels.size:
        raise ValueError(f"X can't be shown as images: it is {described(array)}")
    low, high = _range(pixels)
    scale = np.float32(255.0 / (high - low))

    def opened(index: int) -> Any:
        from PIL import Image

        image = pixels[index]
        if image.dtype != np.uint8:
            levels = (image.astype(np.float32) - np.float32(low)) * scale
            levels[~np.isfinite(levels)] = 0.0
            image = levels.round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(image)

    features = pixels.reshape(len(array), -1)
    return Pictures(len(array), opened, pixels.ndim == 3, max(pixels.shape[1:3]), features)


def _range(pixels: NDArray[Any]) -> tuple[float, float]:
    """Return what is black and what is white."""
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    if pixels.dtype.kind == "f" and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    if low >= 0.0 and _BRIGHT < high <= 255.0:
        return 0.0, 255.0
    return low, high if high > low else low + 1.0


def _of_sequence(X: Sequence[Any]) -> Pictures:
    if all(isinstance(each, str | Path) for each in X):
        return _of_paths(tuple(Path(each) for each in X), is_grey=False)
    odd = next((each for each in X if not hasattr(each, "convert")), None)
    if odd is not None:
        raise TypeError(
            f"X must hold paths or Pillow's images where it is a list of images, got {described(odd)}"
        )
    return Pictures(len(X), lambda index: X[index].convert("RGB"), False, max(max(each.size) for each in X))


def _of_paths(paths: Sequence[Path], *, is_grey: bool) -> Pictures:
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise FileNotFoundError(f"X names {missing}, which is no file")

    def opened(index: int) -> Any:
        from PIL import Image

        try:
            with Image.open(paths[index]) as image:
                return image.convert("L" if is_grey else "RGB")
        except OSError as error:
            raise ValueError(f"X holds {paths[index]}, which can't be read as an image: {error}") from error

    return Pictures(len(paths), opened, is_grey, 4096)
