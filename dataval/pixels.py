"""Images in whatever layout, as what matplotlib shows."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Layout", "as_pixels"]

Layout = Literal["auto", "NCHW", "NHWC", "NHW"]


def as_pixels(images: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """Bring images to (n, height, width) or (n, height, width, 3), fit for imshow."""
    known = _guess_layout(images.shape) if layout == "auto" else layout
    if len(known) != images.ndim:
        raise ValueError(f"images of shape {images.shape} do not have layout {known}.")
    if known == "NCHW":
        images = np.moveaxis(images, 1, -1)
    if known == "NHW" or images.shape[-1] == 1:
        return images if known == "NHW" else images[..., 0]
    return _in_range(images)


def _guess_layout(shape: tuple[int, ...]) -> Layout:
    if len(shape) == 3:
        return "NHW"
    if len(shape) == 4 and shape[-1] in (1, 3):
        return "NHWC"
    if len(shape) == 4 and shape[1] in (1, 3):
        return "NCHW"
    raise ValueError(
        f"images of shape {shape} are neither grey nor RGB; give (n, height, width), or an axis "
        "of 1 or 3 channels, first or last."
    )


def _in_range(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scale float RGB images that leave [0, 1], such as standardised ones, to fill it."""
    low, high = images.min(), images.max()
    if images.dtype.kind != "f" or (low >= 0.0 and high <= 1.0):
        return images
    return np.asarray((images - low) / (high - low))
