"""Samples side by side, each in a panel of its own: images, or vectors as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataval.pixels import as_pixels
from dataval.plotting._style import GREY, INK, LIGHT_GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ImagePanels", "Panels", "VectorPanels", "panels_of"]

_NAME_SIZE = 5.5
_LETTER = 0.043  # width of a letter of a name, in inches
_BAR, _NAMED_BAR, _TALLEST = 0.06, 0.105, 3.5  # heights in inches


class ImagePanels:
    """Images; the first is the query.

    Parameters
    ----------
    samples : ndarray, shape (n, height, width), or with an axis of 1 or 3 channels
    """

    margin = 0.0
    note = ""
    repeats_query = False

    def __init__(self, samples: NDArray[Any]) -> None:
        self._pixels = as_pixels(samples, "auto")

    def height(self, width: float) -> float:
        """Return the height of a panel of some width, in inches."""
        rows, columns = self._pixels.shape[1:3]
        return width * min(2.0, max(0.25, float(rows / columns)))

    def draw(self, ax: Axes, index: int, color: str) -> None:
        """Draw one sample, framed in a colour."""
        ax.imshow(self._pixels[index], cmap="gray", interpolation="nearest", aspect="auto")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color=color, linewidth=1.0)


class VectorPanels:
    """Vectors as bars, every feature on a scale of its own; the first is the query, marked in all others.

    Parameters
    ----------
    samples : ndarray, shape (n, features)
    names : sequence of str, optional
        Of the features.

    Raises
    ------
    ValueError
        If there are not as many names as features.
    """

    note = "bar: the sample's features, each on a scale of its own; line: the query's"
    repeats_query = True

    def __init__(self, samples: NDArray[Any], names: Sequence[str] | None = None) -> None:
        self._n = int(samples.shape[1])
        if names is not None and len(names) != self._n:
            raise ValueError(f"feature_names has {len(names)} names, but samples have {self._n} features.")
        largest = np.abs(samples.astype(np.float64)).max(axis=0)
        self._bars = samples / np.where(largest > 0, largest, 1.0)
        self._limits = (-1.06 if (samples < 0).any() else -0.03, 1.06)
        self._names = None if names is None or self._n * _NAMED_BAR > _TALLEST else list(names)

    @property
    def margin(self) -> float:
        """Width of the names, in inches."""
        return 0.0 if self._names is None else 0.06 + _LETTER * max(map(len, self._names))

    def height(self, width: float) -> float:
        """Return the height of a panel of some width, in inches."""
        return min(_TALLEST, max(width, self._n * (_BAR if self._names is None else _NAMED_BAR)))

    def draw(self, ax: Axes, index: int, color: str) -> None:
        """Draw one sample as bars of a colour."""
        places = np.arange(self._n)
        ax.barh(places, self._bars[index], color=color, height=0.75)
        ax.axvline(0.0, color=GREY, linewidth=0.5, zorder=0)
        if index:
            ax.vlines(self._bars[0], places - 0.42, places + 0.42, color=INK, linewidth=1.0)
        ax.set(xlim=self._limits, ylim=(self._n - 0.4, -0.6), xticks=[], yticks=[])
        if self._names is not None and index == 0:
            ax.set_yticks(places, self._names, fontsize=_NAME_SIZE, color=INK)
            ax.tick_params(length=0, pad=2)
        ax.spines[:].set(color=LIGHT_GREY, linewidth=0.6)


Panels = ImagePanels | VectorPanels


def panels_of(samples: NDArray[Any], feature_names: Sequence[str] | None = None) -> Panels:
    """Return the panels for samples ``(n, ...)``: vectors, numbers or images.

    Raises
    ------
    ValueError
        If they are none of these, or have other features than are named.
    """
    if samples.ndim <= 2:
        return VectorPanels(samples.reshape(len(samples), -1), feature_names)
    if feature_names is not None:
        raise ValueError(f"feature_names are for vectors, the samples have shape {samples.shape[1:]}.")
    return ImagePanels(samples)
