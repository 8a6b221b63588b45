"""What a sample looks like: an image, a row or a text, for all samples or for those that fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dataval.pixels import Layout
from dataval.reports.atlas import SIDES, Atlases, estimated_bytes, make_atlases
from dataval.reports.encoding import encoded
from dataval.reports.pictures import Pictures, as_pictures, looks_like_images
from dataval.reports.tables import Grid, as_grid
from dataval.reports.texts import LENGTHS, as_texts, looks_like_texts, shortened, word_features

__all__ = ["Kind", "Media", "Source", "as_source"]

Kind = Literal["images", "table", "texts"]
Indices = NDArray[np.int64]
Groups = list[Indices]
Source = Pictures | Grid | list[str]

_SAFETY = 1.05


@dataclass(frozen=True, eq=False)
class Media:
    """What the page shows of samples.

    Attributes
    ----------
    document : dict
        Without images.
    shown : ndarray of int64, shape (n,)
        The samples that it shows.
    atlases : Atlases or None
    notes : list of str
        What was left out or made smaller.
    """

    document: dict[str, Any]
    shown: Indices
    atlases: Atlases | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        """Its size in the page."""
        return len(json.dumps(self.document)) + (self.atlases.n_bytes if self.atlases else 0)


def as_source(X: Any, kind: Kind | None, layout: Layout, feature_names: Any) -> Source | None:
    """Take inputs for what they look like, or what they are said to be."""
    if X is None:
        return None
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    if kind is None:
        kind = "images" if looks_like_images(X) else "texts" if looks_like_texts(X) else "table"
    if feature_names is not None and kind != "table":
        raise ValueError(f"feature_names are those of a table's columns, and X holds {kind}: leave them out")
    if kind == "images":
        return as_pictures(X, layout)
    return as_texts(X) if kind == "texts" else as_grid(X, feature_names)


def size_of(source: Source) -> int:
    """Return the number of samples."""
    return len(source) if isinstance(source, list) else source.n


def features_of(source: Source) -> Any:
    """Return what samples can be compared by, or None."""
    if isinstance(source, Pictures):
        return source.features
    return word_features(source) if isinstance(source, list) else source.features()


def make_media(
    source: Source | None, groups: Groups, order: Indices, chosen: Indices, most_bytes: float
) -> Media:
    """Return what fits: all samples, or else the chosen ones, in ever smaller versions.

    Parameters
    ----------
    source : Source or None
        The inputs.
    groups : list of ndarray of int64
        The members of each class, by which what is unusual in a table's rows is judged.
    order : ndarray of int64, shape (N,)
        All samples, those that are looked at first in front.
    chosen : ndarray of int64
        Those to show where not all fit.
    most_bytes : float
        Of the page.
    """
    if source is None:
        return Media({"kind": "none"}, order[:0])
    if isinstance(source, Pictures):
        return _pictures(source, order, chosen, most_bytes)
    if isinstance(source, list):
        versions = [_texts(source, length) for length in LENGTHS]
    else:
        versions = [_rows(source, groups)]
    for rows in (order, chosen):
        for version in versions:
            found = version(rows)
            if found.n_bytes <= most_bytes:
                return found
    fitting = int(len(chosen) * most_bytes / found.n_bytes * 0.9)
    return versions[-1](chosen[: max(0, fitting)])


def _rows(source: Grid, groups: Groups) -> Callable[[Indices], Media]:
    return lambda rows: Media({"kind": "table", **source.document(rows, groups)}, rows)


def _texts(source: list[str], length: int) -> Callable[[Indices], Media]:
    def make(rows: Indices) -> Media:
        cut = sum(len(source[i]) > length for i in rows.tolist())
        notes = [f"{cut:,} texts are cut to {length:,} characters"] if cut else []
        return Media({"kind": "texts", "texts": shortened(source, rows, length)}, rows, notes=notes)

    return make


def _pictures(source: Pictures, order: Indices, chosen: Indices, most_bytes: float) -> Media:
    """Show all images or the chosen ones, as large as fits."""
    sides = [side for side in SIDES if side <= max(source.side, SIDES[-1])]
    if source.side < SIDES[0]:
        sides = [SIDES[0], *[side for side in sides if side < source.side]]
    for rows in (order, chosen):
        for side in sides:
            if estimated_bytes(source, rows, side) * _SAFETY <= most_bytes:
                found = _drawn(source, rows, side)
                if found.n_bytes <= most_bytes:
                    return found
    each = estimated_bytes(source, chosen, sides[-1]) / len(chosen)
    return _drawn(source, chosen[: int(most_bytes / each / _SAFETY)], sides[-1])


def _drawn(source: Pictures, rows: Indices, side: int) -> Media:
    atlases = make_atlases(source, rows, side)
    notes = []
    if source.side > atlases.side:
        notes.append(f"images are at most {atlases.side} pixels wide and high")
    return Media(
        {"kind": "images", "sizes": encoded(atlases.sizes), **atlases.document()}, rows, atlases, notes
    )
