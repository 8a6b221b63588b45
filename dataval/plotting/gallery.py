"""The samples of lowest value, shown as images with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataval.checks import whole_number
from dataval.metrics.statistics import check_values
from dataval.pixels import Layout, as_pixels
from dataval.plotting._captions import named, number, shorten
from dataval.plotting._style import COLUMN_WIDTH, GREY, INK, LIGHT_GREY, RED, SMALL_SIZE, new_canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["SampleGalleryDisplay"]

_LINE = 0.115  # height of a line of small type, in inches
_HEADING = 0.2  # height of the line above the grid, in inches
_IMAGE = 0.82  # share of its cell's width that an image takes


class SampleGalleryDisplay:
    """Images in a grid, lowest value first, each with its given label, true label and value.

    Make it with `from_values`; `plot` draws it again.

    Parameters
    ----------
    images : ndarray, shape (n_shown, height, width) or (n_shown, height, width, channels)
        What is shown, in order.
    values : ndarray of float64, shape (n_shown,)
        Their values.
    given_labels : sequence of str
        The labels they carry.
    true_labels : sequence of str, optional
        The right labels, where known.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        What was drawn on.
    axes_ : list of matplotlib.axes.Axes
        The axes of each image, inside `ax_`.
    figure_ : matplotlib.figure.Figure
        Their figure.
    indices_ : ndarray of int, shape (n_shown,)
        Which samples are shown (set by `from_values`).
    """

    ax_: Axes
    axes_: list[Axes]
    figure_: Figure | SubFigure
    indices_: npt.NDArray[np.intp]

    def __init__(
        self,
        images: npt.NDArray[Any],
        values: npt.NDArray[np.float64],
        given_labels: Sequence[str],
        true_labels: Sequence[str] | None = None,
    ) -> None:
        self.images = images
        self.values = values
        self.given_labels = given_labels
        self.true_labels = true_labels

    @classmethod
    def from_values(
        cls,
        images: npt.ArrayLike,
        values: npt.ArrayLike,
        given_labels: npt.ArrayLike,
        true_labels: npt.ArrayLike | None = None,
        *,
        class_names: Sequence[str] | None = None,
        n: int = 16,
        columns: int = 4,
        layout: Layout = "auto",
        cmap: str = "gray",
        ax: Axes | None = None,
    ) -> SampleGalleryDisplay:
        """Show the `n` samples of lowest value.

        Parameters
        ----------
        images : array-like, shape (n_samples, …)
            Grey or RGB images, in [0, 1] or as bytes; each grey image is shown from its own darkest
            to its own brightest pixel.
        values : array-like of float, shape (n_samples,)
            Higher helps, negative hurts. Samples without a value (NaN) are not shown.
        given_labels : array-like, shape (n_samples,)
            The labels trained on.
        true_labels : array-like, shape (n_samples,), optional
            The right labels, where known; a wrong given label is then set in red with the right one
            beneath it.
        class_names : sequence of str, optional
            The name of each label, which must then be whole numbers from 0.
        n : int, default 16
            How many to show; all where there are fewer.
        columns : int, default 4
            Images in a row.
        layout : {"auto", "NCHW", "NHWC", "NHW"}, default "auto"
            Order of samples, channels, height and width. "auto" takes an axis of 1 or 3 entries for
            the channels, the last axis if both could be.
        cmap : str, default "gray"
            Colour map of grey images; "gray_r" for ink on paper.
        ax : matplotlib.axes.Axes, optional
            Whose place the grid takes; a new figure of a column's width unless given.

        Returns
        -------
        SampleGalleryDisplay

        Raises
        ------
        ValueError
            If lengths differ, values are not finite, or the images' layout cannot be told.
        ImportError
            If matplotlib is not installed.
        """
        checked = check_values(values, partial=True)
        pixels = as_pixels(np.asarray(images), layout)
        for name, entries in (("images", pixels), ("given_labels", given_labels)):
            _check_length(name, entries, len(checked))
        if true_labels is not None:
            _check_length("true_labels", true_labels, len(checked))
        whole_number("n", n, minimum=1)
        whole_number("columns", columns, minimum=1)
        lowest = np.argsort(checked, kind="stable")[: min(n, int((~np.isnan(checked)).sum()))]
        display = cls(
            pixels[lowest],
            checked[lowest],
            named(given_labels, lowest, class_names),
            None if true_labels is None else named(true_labels, lowest, class_names),
        )
        display.indices_ = lowest
        return display.plot(columns=columns, cmap=cmap, ax=ax)

    def plot(self, *, columns: int = 4, cmap: str = "gray", ax: Axes | None = None) -> SampleGalleryDisplay:
        """Draw the grid.

        Parameters
        ----------
        columns : int, default 4
            Images in a row.
        cmap : str, default "gray"
            Colour map of grey images; "gray_r" for ink on paper.
        ax : matplotlib.axes.Axes, optional
            Whose place the grid takes; a new figure of a column's width unless given.

        Returns
        -------
        SampleGalleryDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        columns = min(columns, len(self.values))
        rows = -(-len(self.values) // columns)
        self.ax_ = self._new_axes(rows, columns) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.ax_.set_axis_off()
        self._draw_heading()
        places = _cells(self.ax_, rows, columns, self._n_lines)
        shown = range(len(self.values))
        self.axes_ = [self._draw_image(i, places[i], cmap) for i in shown]
        return self

    @property
    def _n_lines(self) -> int:
        return 2 if self.true_labels is None else 3

    def _new_axes(self, rows: int, columns: int) -> Axes:
        side = _IMAGE * COLUMN_WIDTH / columns
        return new_canvas(COLUMN_WIDTH, rows * (side + _caption_height(self._n_lines)) + _HEADING)

    def _draw_heading(self) -> None:
        given = "given label" if self.true_labels is None else "given label (true label)"
        self.ax_.annotate(
            f"Lowest values: {given}, value",
            (0.5, 1.0),
            (0.0, -3.0),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=SMALL_SIZE,
            color=GREY,
        )

    def _draw_image(self, index: int, place: tuple[float, float, float, float], cmap: str) -> Axes:
        ax = self.ax_.inset_axes(place)
        ax.imshow(self.images[index], cmap=cmap, interpolation="nearest")
        ax.set(xticks=[], yticks=[], anchor="N")
        wrong = self._is_wrong(index)
        ax.spines[:].set_color(RED if wrong else LIGHT_GREY)
        ax.spines[:].set_linewidth(1.4 if wrong else 0.6)
        for line, (text, color) in enumerate(self._caption(index)):
            ax.annotate(
                text,
                (0.5, 0.0),
                (0.0, -3.0 - 72.0 * _LINE * line),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=SMALL_SIZE,
                color=color,
            )
        return ax

    def _is_wrong(self, index: int) -> bool:
        return self.true_labels is not None and self.true_labels[index] != self.given_labels[index]

    def _caption(self, index: int) -> list[tuple[str, str]]:
        lines = [(shorten(self.given_labels[index]), RED if self._is_wrong(index) else INK)]
        if self.true_labels is not None:
            true = shorten(self.true_labels[index]) if self._is_wrong(index) else "correct"
            lines.append((f"({true})", INK if self._is_wrong(index) else GREY))
        return [*lines, (number(self.values[index]), GREY)]


def _caption_height(n_lines: int) -> float:
    return n_lines * _LINE + 0.12


def _cells(ax: Axes, rows: int, columns: int, n_lines: int) -> list[tuple[float, float, float, float]]:
    """Return the place (left, bottom, width, height) of each image in fractions of `ax`."""
    box = ax.get_window_extent()
    inches = box.height / ax.figure.dpi
    heading, caption = _HEADING / inches, _caption_height(n_lines) / inches
    height = (1.0 - heading) / rows
    image = max(height - caption, 0.2 * height)
    width = _IMAGE / columns
    left = (1.0 / columns - width) / 2.0
    return [
        (column / columns + left, 1.0 - heading - row * height - image, width, image)
        for row in range(rows)
        for column in range(columns)
    ]


def _check_length(name: str, entries: npt.ArrayLike, expected: int) -> None:
    length = len(np.asarray(entries))
    if length != expected:
        raise ValueError(f"{name} has {length} entries, but there are {expected} values.")
