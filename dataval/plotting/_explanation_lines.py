"""A query that is a text above other texts, one a line."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Protocol

from dataval.plotting._captions import shorten
from dataval.plotting._style import COLUMN_WIDTH, GREY, INK, SMALL_SIZE, new_canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TextRow", "draw_lines"]

# In inches.
_WIDTH = 2 * COLUMN_WIDTH
_LINE = 0.125
_GAP = 0.07
_VALUE, _LABEL, _TEXT = 0.55, 0.63, 1.65

_NAME = 18  # letters of a label
_LETTERS, _LINES = 86, 2  # of a line of text, and lines of a text

Line = tuple[float, str, str, str]  # place from the left, alignment, text, colour


class TextRow(Protocol):
    """What a row needs to say of itself."""

    @property
    def heading(self) -> str:
        """Return what its texts have in common."""

    @property
    def color(self) -> str:
        """Return the colour of heading and values."""

    @property
    def samples(self) -> list[str]:
        """Return the texts."""

    def captions(self) -> list[tuple[str, str]]:
        """Return the label and the signed value of each text."""


def draw_lines(
    query: str, query_lines: list[tuple[str, str]], rows: Sequence[TextRow], ax: Axes | None
) -> Axes:
    """Draw query and rows; return the axes.

    Parameters
    ----------
    query : str
        Its text.
    query_lines : list of (str, str)
        What the model says of it, with colours.
    rows : sequence of TextRow
        From above.
    ax : Axes or None
        Whose place they take.
    """
    blocks = [_query_block(query, query_lines), *(_row_block(row) for row in rows)]
    height = sum(len(block) * _LINE + _GAP for block in blocks) + _GAP
    ax = new_canvas(_WIDTH, height) if ax is None else ax
    ax.set_axis_off()
    top = _GAP
    for block in blocks:
        for line in block:
            _write(ax, line, 1.0 - top / height)
            top += _LINE
        top += _GAP
    return ax


def _query_block(query: str, query_lines: list[tuple[str, str]]) -> list[list[Line]]:
    block: list[list[Line]] = [[(0.05, "left", "query", GREY)]]
    for said, text in zip_longest(query_lines, _wrapped(query)):
        words = [] if said is None else [(_LABEL, "left", shorten(said[0], _NAME), said[1])]
        block.append(words if text is None else [*words, (_TEXT, "left", text, INK)])
    return block


def _row_block(row: TextRow) -> list[list[Line]]:
    block: list[list[Line]] = [[(0.05, "left", row.heading + ("" if row.samples else " (none)"), row.color)]]
    for text, (label, value) in zip(row.samples, row.captions(), strict=True):
        first, *others = _wrapped(text)
        block.append(
            [
                (_VALUE, "right", value, row.color),
                (_LABEL, "left", shorten(label, _NAME), INK),
                (_TEXT, "left", first, INK),
            ]
        )
        block += [[(_TEXT, "left", other, INK)] for other in others]
    return block


def _wrapped(text: str) -> list[str]:
    """Return the lines of a text, cut after the last that there is room for."""
    return textwrap.wrap(text, _LETTERS, max_lines=_LINES, placeholder=" …") or [""]


def _write(ax: Axes, line: list[Line], y: float) -> None:
    for x, alignment, text, color in line:
        ax.text(
            x / _WIDTH,
            y,
            text,
            transform=ax.transAxes,
            fontsize=SMALL_SIZE,
            color=color,
            ha=alignment,
            va="top",
            parse_math=False,
        )
