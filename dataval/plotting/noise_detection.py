"""The detection curve: how much of the noise is found for how much inspection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataval.metrics.ranking import detection_curve
from dataval.plotting._style import (
    GREY,
    LINE_STYLES,
    OKABE_ITO,
    SMALL_SIZE,
    new_axes,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

__all__ = ["NoiseDetectionDisplay"]

FloatArray = npt.NDArray[np.float64]


class NoiseDetectionDisplay:
    """Share of the noisy samples found against the share of all samples inspected, lowest first.

    Make it with `from_values`; `plot` draws it again. The dotted diagonal is what a random order
    finds in expectation, the dashed line what a perfect order finds.

    Parameters
    ----------
    curves : mapping of str to pairs of ndarray
        For each name the share inspected and the share found, both from 0 to 1, as
        `dataval.evaluation.detection_curve` returns them.
    noise_share : float
        Share of the samples that is noisy.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        What was drawn on.
    figure_ : matplotlib.figure.Figure
        Its figure.
    lines_ : dict of str to matplotlib.lines.Line2D
        The line of each name.
    """

    ax_: Axes
    figure_: Figure | SubFigure
    lines_: dict[str, Line2D]

    def __init__(self, curves: Mapping[str, tuple[FloatArray, FloatArray]], noise_share: float) -> None:
        self.curves = curves
        self.noise_share = noise_share

    @classmethod
    def from_values(
        cls,
        values: npt.ArrayLike | Mapping[str, npt.ArrayLike],
        is_noisy: npt.ArrayLike,
        *,
        ax: Axes | None = None,
        **line_options: Any,
    ) -> NoiseDetectionDisplay:
        """Draw the curve of one or several methods' values.

        Parameters
        ----------
        values : array-like of float, shape (n,), or mapping of names to such
            Higher helps, negative hurts; the lowest are inspected first.
        is_noisy : array-like of bool, shape (n,)
            True where the sample really is noisy.
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **line_options
            Passed on to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        NoiseDetectionDisplay

        Raises
        ------
        ValueError
            If values are not finite, differ in length from `is_noisy`, or there is nothing to draw.
        ImportError
            If matplotlib is not installed.
        """
        named = values if isinstance(values, Mapping) else {"values": values}
        if not named:
            raise ValueError("values is empty; give at least one method's values.")
        curves = {name: detection_curve(each, is_noisy) for name, each in named.items()}
        display = cls(curves, float(np.mean(np.asarray(is_noisy, dtype=np.float64))))
        return display.plot(ax=ax, **line_options)

    def plot(self, *, ax: Axes | None = None, **line_options: Any) -> NoiseDetectionDisplay:
        """Draw the curves and both references.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **line_options
            Passed on to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        NoiseDetectionDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = new_axes(height=2.6) if ax is None else ax
        self.figure_ = self.ax_.figure
        references = self._draw_references()
        self.lines_ = {name: self._draw_curve(i, name, line_options) for i, name in enumerate(self.curves)}
        self._label()
        self._add_legend([*self.lines_.values(), *references])
        return self

    def _draw_references(self) -> list[Line2D]:
        style: dict[str, Any] = {"color": GREY, "linewidth": 1.0, "zorder": 1}
        bend = self.noise_share
        (perfect,) = self.ax_.plot([0, bend, 1], [0, 1, 1], dashes=(5, 2), label="perfect", **style)
        (random,) = self.ax_.plot([0, 1], [0, 1], dashes=(1, 1.5), label="random", **style)
        return [perfect, random]

    def _draw_curve(self, index: int, name: str, options: dict[str, Any]) -> Line2D:
        share, recall = self.curves[name]
        style: dict[str, Any] = {
            "color": OKABE_ITO[index % len(OKABE_ITO)],
            "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
            "linewidth": 1.6,
            "zorder": 3,
            "solid_joinstyle": "round",
        }
        return self.ax_.plot(share, recall, label=name, **{**style, **options})[0]

    def _label(self) -> None:
        ax = self.ax_
        ax.set(
            xlim=(0, 1),
            ylim=(0, 1.02),
            xlabel="share of samples inspected, lowest values first",
            ylabel="share of noisy samples found",
        )
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(_ticks())
            axis.set_major_formatter(_percent())
        tidy(ax)

    def _add_legend(self, lines: list[Line2D]) -> None:
        self.ax_.legend(
            handles=lines,
            loc="lower right",
            fontsize=SMALL_SIZE,
            framealpha=0.85,
            edgecolor="none",
            borderaxespad=0.2,
            handlelength=2.6,
            labelspacing=0.3,
        )


def _ticks() -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator([0.0, 0.25, 0.5, 0.75, 1.0])


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0, decimals=0)
