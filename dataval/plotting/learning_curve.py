"""Learning curves: how good models get from how many samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dataval.evaluation.learning_curve import LearningCurve
from dataval.plotting._style import LINE_STYLES, OKABE_ITO, SMALL_SIZE, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

__all__ = ["LearningCurveDisplay"]

_MARKERS = "osD^vPX"


class LearningCurveDisplay:
    """A model's utility against the number of samples it was trained on, with a band over random orders.

    Make it with `from_curves`; `plot` draws it again. Bands are confidence intervals of the mean over orders.

    Parameters
    ----------
    curves : mapping of str to LearningCurve
        The curve of each model; all of one utility.

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

    def __init__(self, curves: Mapping[str, LearningCurve]) -> None:
        self.curves = curves

    @classmethod
    def from_curves(
        cls, curves: LearningCurve | Mapping[str, LearningCurve], *, ax: Axes | None = None, **line_options: Any
    ) -> LearningCurveDisplay:
        """Draw one or several models' curves.

        Parameters
        ----------
        curves : LearningCurve, or mapping of names to such
            As `dataval.evaluation.learning_curve` returns them.
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **line_options
            Passed on to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        LearningCurveDisplay

        Raises
        ------
        ValueError
            If there is no curve, or they differ in utility.
        ImportError
            If matplotlib is not installed.
        """
        named = {"mean": curves} if isinstance(curves, LearningCurve) else dict(curves)
        if not named:
            raise ValueError("curves is empty; give at least one model's curve.")
        utilities = sorted({curve.utility for curve in named.values()})
        if len(utilities) > 1:
            raise ValueError(f"curves of one utility can be drawn together, got {utilities}.")
        return cls(named).plot(ax=ax, **line_options)

    def plot(self, *, ax: Axes | None = None, **line_options: Any) -> LearningCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **line_options
            Passed on to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        LearningCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = new_axes(height=2.5) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.lines_ = {name: self._draw(i, name, line_options) for i, name in enumerate(self.curves)}
        utility = next(iter(self.curves.values())).utility
        self.ax_.set(xlabel="training samples", ylabel=f"validation {utility}")
        self.ax_.margins(x=0.03)
        tidy(self.ax_)
        if len(self.curves) > 1:
            self.ax_.legend(fontsize=SMALL_SIZE, frameon=False, handlelength=2.6)
        return self

    def _draw(self, index: int, name: str, options: dict[str, Any]) -> Line2D:
        style = {
            "color": OKABE_ITO[index % len(OKABE_ITO)],
            "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
            "marker": _MARKERS[index % len(_MARKERS)],
            "markersize": 3.5,
            "linewidth": 1.5,
        }
        curve = self.curves[name]
        means = curve.mean
        (line,) = self.ax_.plot(curve.sizes, [each.mean for each in means], label=name, **{**style, **options})
        if means[0].low is not None:
            low, high = np.array([(each.low, each.high) for each in means]).T
            self.ax_.fill_between(curve.sizes, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        return line
