"""A query beside the training samples that made the model predict what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import whole_number
from dataval.data import map_leaves
from dataval.methods.explanation import Explanation, Explanations, Ranking
from dataval.plotting._captions import named, number
from dataval.plotting._explanation_grid import draw_grid
from dataval.plotting._explanation_lines import draw_lines
from dataval.plotting._panels import panels_of
from dataval.plotting._style import INK, OKABE_ITO, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["ExplanationDisplay", "ShownSamples"]

_BLUE, _GREEN = OKABE_ITO[0], OKABE_ITO[2]


@dataclass(frozen=True)
class ShownSamples:
    """Some training samples under one heading.

    Attributes
    ----------
    heading : str
        What they have in common.
    color : str
    samples : list
        An array or a text each.
    labels : list of str
        The labels that they carry.
    values : ndarray of float64
    """

    heading: str
    color: str
    samples: list[Any]
    labels: list[str]
    values: NDArray[np.float64]

    def captions(self) -> list[tuple[str, str]]:
        """Return the label and the signed value of each."""
        signed = [f"+{number(value)}" if value > 0 else number(value) for value in self.values]
        return list(zip(self.labels, signed, strict=True))


class ExplanationDisplay:
    """One query beside its most helpful and its most harmful training samples.

    Where another label than the true one was predicted, a third row shows what moved the decision. Images are
    shown as images, vectors as bars, and texts one a line. Make it with `from_explanations`; `plot` draws it
    again.

    Parameters
    ----------
    query : ndarray or str
        The query's inputs, or a text.
    caption : list of str
        What the model says of it, and the true label or value where known.
    is_wrong : bool
        Whether another label than the true one was predicted.
    rows : list of ShownSamples
    feature_names : sequence of str, optional
        Of vectors.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        What was drawn on.
    axes_ : list of matplotlib.axes.Axes
        The axes of each panel inside `ax_`, the query's first; none where samples are texts.
    figure_ : matplotlib.figure.Figure
        Their figure.
    """

    ax_: Axes
    axes_: list[Axes]
    figure_: Figure | SubFigure

    def __init__(
        self,
        query: Any,
        caption: list[str],
        is_wrong: bool,
        rows: list[ShownSamples],
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.query = query
        self.caption = caption
        self.is_wrong = is_wrong
        self.rows = rows
        self.feature_names = feature_names

    @classmethod
    def from_explanations(
        cls,
        explanations: Explanations,
        index: int = 0,
        *,
        class_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        decode: Callable[[Any], Any] | None = None,
        n: int = 5,
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
        feature_names : sequence of str, optional
            The name of each entry of vectors.
        decode : callable, optional
            Makes of one sample's inputs a text, such as a tokenizer's ``decode``, or the array to be shown: one
            of a dict's, or ``lambda row: row.reshape(28, 28)``.
        n : int, default 5
            The most samples of each kind to show.
        ax : matplotlib.axes.Axes, optional
            Whose place the picture takes; a new figure of its own size unless given.

        Returns
        -------
        ExplanationDisplay

        Raises
        ------
        IndexError
            If there is no such query.
        ValueError
            If inputs are neither images nor vectors, and `decode` is not given, or a label has no name.
        ImportError
            If matplotlib is not installed.
        """
        if not 0 <= whole_number("index", index) < len(explanations):
            raise IndexError(f"index must be a query's, 0 ... {len(explanations) - 1}, got {index}")
        whole_number("n", n, minimum=1)
        found = explanations[index]
        words = _Words(found, class_names)

        def shown(heading: str, color: str, ranking: Ranking, indices: NDArray[np.int64]) -> ShownSamples:
            if not len(indices):
                return ShownSamples(heading, color, [], [], ranking.values[indices])
            chosen = explanations.training.take(indices[:n])
            samples = [_shown(chosen.inputs, i, decode) for i in range(len(chosen))]
            return ShownSamples(
                heading, color, samples, words.labels(chosen.targets), ranking.values[indices[:n]]
            )

        rows = [shown(*row) for row in words.rows()]
        query = _shown(explanations.queries.take(np.array([index])).inputs, 0, decode)
        display = cls(query, words.caption(), found.is_wrong, rows, feature_names)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> ExplanationDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Whose place the picture takes; a new figure of its own size unless given.

        Returns
        -------
        ExplanationDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        if isinstance(self.query, str):
            self.ax_, self.axes_ = draw_lines(self.query, self._query_lines(), self.rows, ax), []
        else:
            samples = [self.query, *(sample for row in self.rows for sample in row.samples)]
            panels = panels_of(np.stack(samples), self.feature_names)
            self.ax_, self.axes_ = draw_grid(panels, self._query_lines(), self.rows, ax)
        self.figure_ = self.ax_.figure
        return self

    def _query_lines(self) -> list[tuple[str, str]]:
        """Return the lines of the query's caption with their colours."""
        colors = [INK] * len(self.caption)
        if self.is_wrong:
            colors[-1] = RED
        return list(zip(self.caption, colors, strict=True))


class _Words:
    """Headings and captions of one explanation."""

    def __init__(self, found: Explanation, class_names: Sequence[str] | None) -> None:
        self._found, self._names = found, class_names
        self._predicted = self.labels(np.array([found.predicted]))[0]
        self._true = None if found.true is None else self.labels(np.array([found.true]))[0]

    def labels(self, targets: NDArray[Any]) -> list[str]:
        """Return the names of labels, or a regression's values."""
        flat = targets.reshape(-1)
        if self._found.probability is None:
            return [f"{value:.3g}".replace("-", "\N{MINUS SIGN}") for value in flat]
        return named(flat.astype(np.int64), np.arange(len(flat)), self._names)

    def caption(self) -> list[str]:
        """Return what the model says of the query, and the truth."""
        probability = self._found.probability
        sure = [] if probability is None else [f"{probability:.0%} sure"]
        return [self._predicted, *sure, *([] if self._true is None else [f"truly {self._true}"])]

    def rows(self) -> list[tuple[str, str, Ranking, NDArray[np.int64]]]:
        """Return heading, colour, ranking and indices of every row."""
        of_output = self._found.probability is None
        for_it = "they raise the output" if of_output else f"they speak for {self._predicted}"
        against = "they lower the output" if of_output else f"they speak against {self._predicted}"
        answer, contrast = self._found.for_predicted, self._found.contrast
        rows = [
            (f"helpful: {for_it}", _BLUE, answer, answer.helpful),
            (f"harmful: {against}", RED, answer, answer.harmful),
        ]
        if contrast is not None and self._found.is_wrong:
            moved = f"contrast: they moved it from {self._true} to {self._predicted}"
            rows.append((moved, _GREEN, contrast, contrast.helpful))
        return rows


def _shown(inputs: Any, index: int, decode: Callable[[Any], Any] | None) -> Any:
    """Return what is shown of one sample: an array or a text."""
    sample = map_leaves(lambda leaf: leaf[index], inputs)
    shown = sample if decode is None else decode(sample)
    if isinstance(shown, tuple | dict):
        raise ValueError(
            f"inputs that are a {type(shown).__name__} of arrays can't be shown as they are: pass decode=, a "
            "function of one sample's inputs that returns a text or the array to show."
        )
    return shown if isinstance(shown, str) else np.asarray(shown)
