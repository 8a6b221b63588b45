"""Values against the truth, one point a sample or a subset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataval.metrics.agreement import paired
from dataval.metrics.statistics import correlation, rank_correlation
from dataval.plotting._style import GREY, INK, OKABE_ITO, SMALL_SIZE, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure, SubFigure

    from dataval.metrics.fidelity import LinearDatamodelingScore

__all__ = ["AgreementDisplay"]

FloatArray = npt.NDArray[np.float64]

_MANY = 2000


class AgreementDisplay:
    """A scatter of predicted against true effects, with the line where both are equal.

    Make it with `from_values` (one point a sample) or `from_score` (one point a removed subset); `plot` draws
    it again. The correlations stand above.

    Parameters
    ----------
    predicted, truth : ndarray of float64, shape (n,)
        What was predicted and what retraining gave.
    unit : str
        What one point is.
    n_without : int, default 0
        Samples that are not drawn, as they have no value or no truth.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        What was drawn on.
    figure_ : matplotlib.figure.Figure
        Its figure.
    points_ : matplotlib.collections.PathCollection
        The points.
    """

    ax_: Axes
    figure_: Figure | SubFigure
    points_: PathCollection

    def __init__(
        self, predicted: FloatArray, truth: FloatArray, unit: str = "sample", *, n_without: int = 0
    ) -> None:
        self.predicted = predicted
        self.truth = truth
        self.unit = unit
        self.n_without = n_without

    @classmethod
    def from_values(
        cls, values: npt.ArrayLike, truth: npt.ArrayLike, *, ax: Axes | None = None, **point_options: Any
    ) -> AgreementDisplay:
        """Draw values against the effects of leaving each sample out.

        Parameters
        ----------
        values : array-like of float, shape (n,)
            Higher helps.
        truth : array-like of float, shape (n,)
            For the same samples, such as the values of leave-one-out. Samples where either is NaN are not
            drawn, and the title says how many are.
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **point_options
            Passed on to `matplotlib.axes.Axes.scatter`.

        Returns
        -------
        AgreementDisplay

        Raises
        ------
        ValueError
            If values or truth hold infinity, differ in length, or no sample has both.
        ImportError
            If matplotlib is not installed.
        """
        found, true, n_without = paired(values, truth)
        return cls(found, true, n_without=n_without).plot(ax=ax, **point_options)

    @classmethod
    def from_score(
        cls, score: LinearDatamodelingScore, *, ax: Axes | None = None, **point_options: Any
    ) -> AgreementDisplay:
        """Draw predicted against true effects of removing random subsets.

        Parameters
        ----------
        score : LinearDatamodelingScore
            As `DataValuator.verify` or `dataval.evaluation.linear_datamodeling_score` return it.
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **point_options
            Passed on to `matplotlib.axes.Axes.scatter`.

        Returns
        -------
        AgreementDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        display = cls(np.array(score.predicted), np.array(score.actual), "subset")
        return display.plot(ax=ax, **point_options)

    def plot(self, *, ax: Axes | None = None, **point_options: Any) -> AgreementDisplay:
        """Draw the points and the line of equality.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            What to draw on; a new figure of a column's width unless given.
        **point_options
            Passed on to `matplotlib.axes.Axes.scatter`.

        Returns
        -------
        AgreementDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = new_axes(height=2.6) if ax is None else ax
        self.figure_ = self.ax_.figure
        few = len(self.truth) <= _MANY
        style: dict[str, Any] = {
            "s": 9 if few else 3,
            "color": OKABE_ITO[0],
            "alpha": 0.55 if few else 0.25,
            "linewidths": 0,
            "zorder": 3,
            "rasterized": not few,
        }
        self.points_ = self.ax_.scatter(self.truth, self.predicted, **{**style, **point_options})
        self._draw_references()
        self._label()
        return self

    def _draw_references(self) -> None:
        """Draw both zeros and the line of equality, without letting the line stretch the axes."""
        ax = self.ax_
        ax.axhline(0, color=GREY, linewidth=0.6, zorder=1)
        ax.axvline(0, color=GREY, linewidth=0.6, zorder=1)
        ax.set(xlim=_padded(self.truth), ylim=_padded(self.predicted))
        ax.axline((0, 0), slope=1, color=INK, dashes=(4, 2), linewidth=1.0, zorder=2, label="equal")

    def _label(self) -> None:
        ax = self.ax_
        exponent = _exponent(np.concatenate((self.truth, self.predicted)))
        unit = f" ($\\times 10^{{{exponent}}}$)" if exponent else ""
        ax.set(xlabel=f"true rise of the loss without the {self.unit}{unit}", ylabel=f"predicted rise{unit}")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(_few_ticks())
            axis.set_major_formatter(_scaled_numbers(exponent))
        tidy(ax)
        pearson, spearman = (
            correlation(self.predicted, self.truth),
            rank_correlation(self.predicted, self.truth),
        )
        n = len(self.truth)
        of_all = f" ({n:,} of {n + self.n_without:,} {self.unit}s)" if self.n_without else ""
        ax.set_title(
            f"Pearson {pearson:.2f}, Spearman {spearman:.2f}{of_all}".replace("-", "\N{MINUS SIGN}"),
            fontsize=SMALL_SIZE,
            color=INK,
            loc="left",
            pad=5,
        )
        ax.legend(fontsize=SMALL_SIZE, frameon=False, loc="best", handlelength=2.4)


def _padded(numbers: FloatArray) -> tuple[float, float]:
    """Return axis limits around the numbers and 0."""
    low, high = min(0.0, float(numbers.min())), max(0.0, float(numbers.max()))
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, steps=[1, 2, 5, 10])


def _exponent(numbers: FloatArray) -> int:
    """Return the power of ten to take out of the tick labels, 0 for numbers that read well as they are."""
    largest = float(np.abs(numbers).max())
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return 0 if -2 <= power <= 3 else power


def _scaled_numbers(exponent: int) -> Any:
    from matplotlib.ticker import FuncFormatter

    def label(number: float, _: int | None) -> str:
        return f"{number / 10.0**exponent:.4g}".replace("-", "\N{MINUS SIGN}")

    return FuncFormatter(label)
