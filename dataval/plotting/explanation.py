"""A query beside the training samples that made the model predict what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataval.methods.explanation import Explanation, Explanations
from dataval.plotting._style import GREY, INK, OKABE_ITO, RED, SMALL_SIZE, TEXT_SIZE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["ExplanationDisplay"]

_BLUE = OKABE_ITO[0]
_CELL = 0.82  # height and width of a panel, in inches
_LINES = 0.34  # height of the lines above it


class ExplanationDisplay:
    """One query, its most helpful training samples in a row above, its most harmful ones below.

    Images are shown as images, vectors as bars, and anything else as text. Make it with `from_explanations`.

    Parameters
    ----------
    explanation : Explanation
    query : ndarray
        Its inputs.
    helpful, harmful : ndarray
        Inputs of the samples, in order.
    helpful_labels, harmful_labels : sequence of str
    predicted, true : str
        The query's labels; the true one may be empty.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    """

    axes_: list[Axes]
    figure_: Figure | SubFigure

    def __init__(
        self,
        explanation: Explanation,
        query: NDArray[Any],
        helpful: NDArray[Any],
        harmful: NDArray[Any],
        helpful_labels: Sequence[str],
        harmful_labels: Sequence[str],
        predicted: str,
        true: str = "",
    ) -> None:
        self.explanation, self.query, self.helpful, self.harmful = explanation, query, helpful, harmful
        self.helpful_labels, self.harmful_labels = helpful_labels, harmful_labels
        self.predicted, self.true = predicted, true

    @classmethod
    def from_explanations(
        cls,
        explanations: Explanations,
        index: int = 0,
        *,
        class_names: Sequence[str] | None = None,
        decode: Callable[[NDArray[Any]], str] | None = None,
        ax: Axes | None = None,
    ) -> ExplanationDisplay:
        """Draw the explanation of one query.

        Parameters
        ----------
        explanations : Explanations
            As ``method.explain`` returns them.
        index : int, default 0
            Which query.
        class_names : sequence of str, optional
            The name of each label.
        decode : callable, optional
            Makes text of a sample's inputs, such as a tokenizer's ``decode``.
        ax : matplotlib.axes.Axes, optional
            What to draw on.

        Returns
        -------
        ExplanationDisplay
        """
        found = explanations[index]

        def inputs_of(samples: Any, at: NDArray[np.int64]) -> NDArray[Any]:
            inputs = samples.take(at).inputs
            while isinstance(inputs, dict | tuple):
                inputs = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs[0]
            return inputs if decode is None else np.array([decode(each) for each in inputs], dtype=object)

        def named(labels: NDArray[Any]) -> list[str]:
            return [str(label) if class_names is None else class_names[int(label)] for label in labels.ravel()]

        training = explanations.training
        display = cls(
            found,
            inputs_of(explanations.queries, np.array([index]))[0],
            inputs_of(training, found.helpful) if len(found.helpful) else np.zeros(0),
            inputs_of(training, found.harmful) if len(found.harmful) else np.zeros(0),
            named(training.take(found.helpful).targets) if len(found.helpful) else [],
            named(training.take(found.harmful).targets) if len(found.harmful) else [],
            named(np.array([found.predicted]))[0],
            "" if found.true is None else named(np.array([found.true]))[0],
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> ExplanationDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            What to draw on; a figure as wide as it needs by default.

        Returns
        -------
        ExplanationDisplay
        """
        columns = 1 + max(1, len(self.helpful), len(self.harmful))
        ax = new_axes(2 * (_CELL + _LINES)) if ax is None else ax
        figure = ax.get_figure(root=True)
        if figure is not None and len(figure.axes) == 1:
            figure.set_size_inches(columns * (_CELL + 0.16), 2 * (_CELL + _LINES))
        ax.set_axis_off()
        self.figure_, self.axes_ = ax.figure, []
        self._draw_query(ax, columns)
        of_rows = (
            (0, "for", self.helpful, self.helpful_labels, self.explanation.helpful_values, _BLUE),
            (1, "against", self.harmful, self.harmful_labels, self.explanation.harmful_values, RED),
        )
        for row, word, inputs, labels, values, color in of_rows:
            for i, (each, label, value) in enumerate(zip(inputs, labels, values, strict=True)):
                panel = self._panel(ax, columns, i + 1, row)
                _show(panel, each, color)
                panel.set_title(f"{label}\n{word} {value:+.2g}", fontsize=SMALL_SIZE, color=color, pad=2)
        return self

    def _draw_query(self, ax: Axes, columns: int) -> None:
        panel = self._panel(ax, columns, 0, 0)
        _show(panel, self.query, GREY)
        found = self.explanation
        panel.set_title(
            f"{self.predicted}\n{found.probability:.0%} sure", fontsize=SMALL_SIZE, color=INK, pad=2
        )
        if self.true:
            color = INK if found.true == found.predicted else RED
            panel.set_xlabel(f"truly {self.true}", fontsize=TEXT_SIZE, color=color, labelpad=3)

    def _panel(self, ax: Axes, columns: int, column: int, row: int) -> Axes:
        width, height = 1 / columns, 0.5
        panel = ax.inset_axes(
            (column * width + 0.04 * width, (1 - row) * height + 0.02, 0.92 * width, 0.66 * height)
        )
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_color(GREY)
        self.axes_.append(panel)
        return panel


def _show(panel: Axes, sample: Any, color: str) -> None:
    """Draw one sample: an image, bars, or text."""
    array = np.asarray(sample)
    if array.dtype == object or array.dtype.kind in "US":
        panel.text(
            0.5, 0.5, str(sample), fontsize=SMALL_SIZE, ha="center", va="center", wrap=True, clip_on=True
        )
    elif array.ndim == 1:
        panel.barh(np.arange(len(array)), array, color=color, height=0.8)
        panel.invert_yaxis()
        panel.axvline(0, color=GREY, linewidth=0.5)
    else:
        panel.imshow(_as_image(array), cmap="gray", aspect="equal")


def _as_image(array: NDArray[Any]) -> NDArray[Any]:
    """Return (height, width) or (height, width, channels), channels of colour in [0, 1]."""
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = np.moveaxis(array, 0, -1)
    array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if array.ndim == 2 or array.dtype.kind in "iu":
        return array
    low, high = float(array.min()), float(array.max())
    return array if low >= 0 and high <= 1 else (array - low) / max(high - low, 1e-12)
