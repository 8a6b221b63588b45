"""Thumbnails side by side in a few large images, which the page opens when it needs them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.reports.pictures import Pictures

__all__ = ["SIDES", "Atlases", "estimated_bytes", "make_atlases"]

SIDES = (96, 64, 32)
"""Longest sides of thumbnails in pixels, the first that fits."""

_ATLAS = 2048
_TRIED = 96
_QUALITY = 82


@dataclass(frozen=True, eq=False)
class Atlases:
    """Images of equal cells.

    Attributes
    ----------
    side : int
        Of a cell, in pixels; an image is in its upper left corner.
    columns, rows : int
        Of an atlas.
    sizes : ndarray of uint8, shape (n, 2)
        Width and height of each image.
    mime : str
    images : list of str
        In base64.
    """

    side: int
    columns: int
    rows: int
    sizes: NDArray[np.uint8]
    mime: str
    images: list[str]

    @property
    def n_bytes(self) -> int:
        """Their size in the page."""
        return sum(map(len, self.images))

    def document(self) -> dict[str, Any]:
        """Return what the page has to know of them."""
        return {"side": self.side, "columns": self.columns, "rows": self.rows, "mime": self.mime}


def estimated_bytes(pictures: Pictures, indices: NDArray[np.int64], side: int) -> float:
    """Return about how many bytes of the page images take, by some of them."""
    tried = indices[np.linspace(0, len(indices) - 1, min(_TRIED, len(indices))).astype(np.int64)]
    return make_atlases(pictures, tried, side).n_bytes * len(indices) / len(tried)


def make_atlases(pictures: Pictures, indices: NDArray[np.int64], side: int) -> Atlases:
    """Draw images into atlases, in this order, none larger than `side` pixels and none enlarged."""
    cell = min(side, pictures.side)
    across = _ATLAS // cell
    mime = _mime()
    sizes, images = np.zeros((len(indices), 2), dtype=np.uint8), []
    for start in range(0, len(indices), across * across):
        part = indices[start : start + across * across]
        sheet, sizes[start : start + len(part)] = _sheet(pictures, part, cell, across)
        images.append(_written(sheet, mime))
    return Atlases(cell, across, across, sizes, mime, images)


def _sheet(
    pictures: Pictures, indices: NDArray[np.int64], cell: int, across: int
) -> tuple[Any, NDArray[np.uint8]]:
    from PIL import Image

    rows = -(-len(indices) // across)
    width = min(len(indices), across) * cell
    sheet = Image.new("L" if pictures.is_grey else "RGB", (width, rows * cell))
    sizes = np.zeros((len(indices), 2), dtype=np.uint8)
    for place, index in enumerate(indices.tolist()):
        image = pictures.open(index)
        if max(image.size) > cell:
            image.thumbnail((cell, cell))
        sheet.paste(image, (place % across * cell, place // across * cell))
        sizes[place] = image.size
    return sheet, sizes


def _mime() -> str:
    from PIL import features

    return "image/webp" if features.check("webp") else "image/jpeg"


def _written(sheet: Any, mime: str) -> str:
    stream = io.BytesIO()
    options = {"method": 2} if mime == "image/webp" else {}
    sheet.save(stream, mime.removeprefix("image/").upper(), quality=_QUALITY, **options)
    return base64.b64encode(stream.getvalue()).decode()
