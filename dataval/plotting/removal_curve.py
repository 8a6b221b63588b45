"""Removal and addition curves: what becomes of a model as samples go, or come, by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dataval.evaluation.removal import RemovalCurve
from dataval.metrics.statistics import Interval
from dataval.plotting._style import GREY, LINE_STYLES, OKABE_ITO, SMALL_SIZE, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

__all__ = ["RemovalCurveDisplay"]

_MARKERS = "osD^vPX"


class RemovalCurveDisplay:
    """A model's utility against the share of samples removed or added, with a band over the seeds.

    Make it with `from_curves`; `plot` draws it again. The dotted grey line is the random order of the first
    curve; bands are confidence intervals of the mean over seeds.

    Parameters
    ----------
    curves : mapping of str to RemovalCurve
        The curve of each method; all of one kind and utility.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        What was drawn on.
    figure_ : matplotlib.figure.Figure
        Its figure.
    lines_ : dict of str to matplotlib.lines.Line2D
        The line of each name, and of "random order".
    """

    ax_: Axes
    figure_: Figure | SubFigure
    lines_: dict[str, Line2D]

    def __init__(self, curves: Mapping[str, RemovalCurve]) -> None:
        self.curves = curves

    @classmethod
    def from_curves(
        cls, curves: RemovalCurve | Mapping[str, RemovalCurve], *, ax: Axes | None = None, **line_options: Any
    ) -> RemovalCurveDisplay:
        """Draw one or several methods' curves.

        Parameters
        ----------
        curves : RemovalCurve, or mapping of names to such
            As `dataval.evaluation.removal_curve` or `addition_curve` return them.
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **line_options
            Passed on to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        RemovalCurveDisplay

        Raises
        ------
        ValueError
            If there is no curve, or they differ in kind, order or utility.
        ImportError
            If matplotlib is not installed.
        """
        named = {"by value": curves} if isinstance(curves, RemovalCurve) else dict(curves)
        if not named:
            raise ValueError("curves is empty; give at least one method's curve.")
        kinds = {(curve.kind, curve.order, curve.utility) for curve in named.values()}
        if len(kinds) > 1:
            raise ValueError(
                f"curves of one kind, order and utility can be drawn together, got {sorted(kinds)}."
            )
        return cls(named).plot(ax=ax, **line_options)

    def plot(self, *, ax: Axes | None = None, **line_options: Any) -> RemovalCurveDisplay:
        """Draw the curves and the random order.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **line_options
            Passed on to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        RemovalCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = new_axes(height=2.5) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.lines_ = {name: self._draw(i, name, line_options) for i, name in enumerate(self.curves)}
        self.lines_["random order"] = self._draw_random()
        self._label()
        return self

    @property
    def _first(self) -> RemovalCurve:
        return next(iter(self.curves.values()))

    def _draw(self, index: int, name: str, options: dict[str, Any]) -> Line2D:
        style = {
            "color": OKABE_ITO[index % len(OKABE_ITO)],
            "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
            "marker": _MARKERS[index % len(_MARKERS)],
            "markersize": 3.5,
            "linewidth": 1.5,
            "zorder": 3,
        }
        curve = self.curves[name]
        return self._draw_line(name, curve.shares, curve.mean, {**style, **options})

    def _draw_random(self) -> Line2D:
        style = {"color": GREY, "dashes": (1, 1.5), "linewidth": 1.2, "zorder": 2}
        return self._draw_line("random order", self._first.shares, self._first.random_mean, style)

    def _draw_line(
        self, name: str, shares: Sequence[float], means: Sequence[Interval], style: dict[str, Any]
    ) -> Line2D:
        (line,) = self.ax_.plot(shares, [each.mean for each in means], label=name, **style)
        if means[0].low is not None:
            low, high = np.array([(each.low, each.high) for each in means]).T
            self.ax_.fill_between(shares, low, high, color=line.get_color(), alpha=0.15, linewidth=0, zorder=1)
        return line

    def _label(self) -> None:
        ax, curve = self.ax_, self._first
        which = f"{curve.order} values first"
        what = "removed" if curve.kind == "removal" else "trained on"
        ax.set(xlabel=f"share of samples {what}, {which}", ylabel=f"validation {curve.utility}")
        ax.xaxis.set_major_formatter(_percent())
        ax.margins(x=0.03)
        tidy(ax)
        ax.legend(
            fontsize=SMALL_SIZE,
            frameon=False,
            handlelength=2.6,
            labelspacing=0.3,
            ncols=2,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            borderaxespad=0.1,
        )


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0, decimals=0)
