"""Several methods side by side, one metric each panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dataval.evaluation.comparison import Comparison
from dataval.plotting._style import GREY, INK, LIGHT_GREY, OKABE_ITO, SMALL_SIZE, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["ComparisonDisplay"]

_PREFERRED = ("AUROC", "LDS", "LOO Spearman", "average precision", "seconds")
_ROW = 0.21  # height of a method's row, in inches
_LONGEST = 12  # letters of a panel's title in one line
_GAP = 0.06  # between panels, as a share of the width


class ComparisonDisplay:
    """One row a method and one panel a metric: the mean over the seeds, each seed's own dot, and chance.

    Make it with `from_comparison`; `plot` draws it again. A method that failed keeps its row, marked "failed".

    Parameters
    ----------
    comparison : Comparison
        What `dataval.compare` returned.
    metrics : sequence of str
        Columns of its table, one panel each.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        What was drawn on.
    axes_ : list of matplotlib.axes.Axes
        The panel of each metric, inside `ax_`.
    figure_ : matplotlib.figure.Figure
        Their figure.
    """

    ax_: Axes
    axes_: list[Axes]
    figure_: Figure | SubFigure

    def __init__(self, comparison: Comparison, metrics: Sequence[str]) -> None:
        self.comparison = comparison
        self.metrics = metrics

    @classmethod
    def from_comparison(
        cls, comparison: Comparison, *, metrics: Sequence[str] | None = None, ax: Axes | None = None
    ) -> ComparisonDisplay:
        """Draw a comparison.

        Parameters
        ----------
        comparison : Comparison
            What `dataval.compare` returned.
        metrics : sequence of str, optional
            Columns of its table, one panel each; up to three that say most by default.
        ax : matplotlib.axes.Axes, optional
            Whose place the panels take; a new figure of a column's width unless given.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        ValueError
            If the comparison has no such metric, or nothing to draw.
        ImportError
            If matplotlib is not installed.
        """
        known = comparison.metrics()
        chosen = [name for name in _PREFERRED if name in known][:3] if metrics is None else list(metrics)
        if unknown := [name for name in chosen if name not in known]:
            raise ValueError(f"the comparison has no {unknown}; it has {known}.")
        if not chosen:
            raise ValueError("the comparison holds no metric to draw.")
        return cls(comparison, chosen).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> ComparisonDisplay:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Whose place the panels take; a new figure of a column's width unless given.

        Returns
        -------
        ComparisonDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        n = len(self.comparison.methods)
        self.ax_ = new_axes(height=0.65 + _ROW * n) if ax is None else ax
        self.figure_ = self.ax_.figure
        self._label_rows()
        self._explain_chance()
        width = (1 - _GAP * (len(self.metrics) - 1)) / len(self.metrics)
        places = [(i * (width + _GAP), 0.0, width, 1.0) for i in range(len(self.metrics))]
        self.axes_ = [self._draw_panel(i, place) for i, place in enumerate(places)]
        return self

    def _label_rows(self) -> None:
        """Write the methods' names beside the panels, the first on top."""
        ax, names = self.ax_, [method.name for method in self.comparison.methods]
        ax.set(ylim=(len(names) - 0.5, -0.5), xticks=[], yticks=range(len(names)), yticklabels=names)
        tidy(ax)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, labelsize=SMALL_SIZE)
        ax.patch.set_visible(False)

    def _explain_chance(self) -> None:
        if any(self._chance(name) is not None for name in self.metrics):
            self.ax_.set_xlabel("dotted: random order", fontsize=SMALL_SIZE - 1, color=GREY, labelpad=14)

    def _draw_panel(self, index: int, place: tuple[float, float, float, float]) -> Axes:
        ax, name = self.ax_.inset_axes(place), self.metrics[index]
        n = len(self.comparison.methods)
        ax.set(ylim=(n - 0.5, -0.5), yticks=[])
        ax.hlines(range(n), 0, 1, transform=ax.get_yaxis_transform(), color=LIGHT_GREY, linewidth=0.6, zorder=0)
        chance = self._chance(name)
        if chance is not None:
            ax.axvline(chance, color=GREY, dashes=(1, 1.5), linewidth=1.0, zorder=1)
        for row, method in enumerate(self.comparison.methods):
            self._draw_row(ax, row, self.comparison.numbers(method.name, name), failed=bool(method.errors))
        if name == "seconds":
            ax.set_xscale("log")
        ax.margins(x=0.12)
        self._finish(ax, name)
        return ax

    def _draw_row(self, ax: Axes, row: int, numbers: Sequence[float], *, failed: bool) -> None:
        colour = OKABE_ITO[row % len(OKABE_ITO)]
        if not numbers:
            text = "failed" if failed else "none"
            style: dict[str, Any] = {"fontsize": SMALL_SIZE - 1, "color": GREY, "ha": "center", "va": "center"}
            style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            ax.text(0.5, row, text, transform=ax.get_yaxis_transform(), **style)
            return
        mean = sum(numbers) / len(numbers)
        if len(numbers) > 1:
            ax.scatter(numbers, [row] * len(numbers), s=7, color=colour, alpha=0.45, linewidths=0, zorder=2)
        ax.scatter([mean], [row], s=26, marker="|", color=colour, linewidths=1.8, zorder=3)
        if len(numbers) == 1:
            ax.scatter([mean], [row], s=14, color=colour, zorder=3)

    def _chance(self, name: str) -> float | None:
        rows = {row["method"]: row for row in self.comparison.rows()}
        return rows.get("random order", {}).get(name)

    def _finish(self, ax: Axes, name: str) -> None:
        from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

        tidy(ax)
        ax.spines["left"].set_visible(False)
        title = name if len(name) <= _LONGEST else name.replace(" ", "\n", 1)
        ax.set_title(title, fontsize=SMALL_SIZE, color=INK, pad=4)
        ax.tick_params(labelsize=SMALL_SIZE - 1)
        if name == "seconds":
            ax.xaxis.set_major_locator(LogLocator(numticks=4))
            ax.xaxis.set_minor_formatter(NullFormatter())
        else:
            ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
