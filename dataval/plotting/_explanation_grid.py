"""A query at the left of rows of panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from dataval.plotting._captions import shorten
from dataval.plotting._panels import Panels
from dataval.plotting._style import COLUMN_WIDTH, GREY, INK, SMALL_SIZE, new_canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Row", "draw_grid"]

# All in inches.
_CELL = COLUMN_WIDTH / 4
_PANEL = 0.82 * _CELL
_QUERY = 1.15
_HEADING = 0.19
_LINE = 0.115
_CAPTION = 2 * _LINE + 0.14
_NOTE = 0.16


class Row(Protocol):
    """What a row needs to say of itself."""

    @property
    def heading(self) -> str:
        """Return what its samples have in common."""

    @property
    def color(self) -> str:
        """Return the colour of frames and values."""

    def captions(self) -> list[tuple[str, str]]:
        """Return the label and the signed value of each sample."""


class _Grid:
    """Places in inches, from the upper left corner, turned into fractions of axes."""

    def __init__(self, panels: Panels, rows: Sequence[Row]) -> None:
        self.left = max(0.0, panels.margin - (_QUERY - _PANEL) / 2)
        self.row_height = _HEADING + panels.height(_PANEL) + _CAPTION
        columns = max(4, *(len(row.captions()) for row in rows))
        self.width = self.left + _QUERY + columns * _CELL
        self.height = len(rows) * self.row_height + (_NOTE if panels.note else 0.0)
        self.panel_height = panels.height(_PANEL)

    def panel(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return the place of a panel; column -1 is the query's."""
        cell = self.left + (0.0 if column < 0 else _QUERY + column * _CELL)
        x = cell + ((_QUERY if column < 0 else _CELL) - _PANEL) / 2
        y = row * self.row_height + _HEADING + self.panel_height
        return (
            x / self.width,
            1.0 - y / self.height,
            _PANEL / self.width,
            self.panel_height / self.height,
        )

    def heading(self, row: int, column: int) -> tuple[float, float]:
        """Return where a heading begins: above the left edge of a panel."""
        x, y, _, height = self.panel(row, column)
        return x, y + height + 0.05 / self.height


def draw_grid(
    panels: Panels, query_lines: list[tuple[str, str]], rows: Sequence[Row], ax: Axes | None
) -> tuple[Axes, list[Axes]]:
    """Draw query and rows; return the axes of all and those of every panel, the query's first.

    Parameters
    ----------
    panels : Panels
        Sample 0 is the query, the others are those of the rows in order.
    query_lines : list of (str, str)
        Lines of the query's caption with their colours.
    rows : sequence of Row
        From above.
    ax : Axes or None
        Whose place they take.
    """
    grid = _Grid(panels, rows)
    ax = new_canvas(grid.width, grid.height) if ax is None else ax
    ax.set_axis_off()
    drawn = [_draw_query(ax, grid, panels, row) for row in range(len(rows) if panels.repeats_query else 1)]
    _write(ax, grid.heading(0, -1), "query", GREY)
    _caption(drawn[0], query_lines)
    for i, row in enumerate(rows):
        drawn += _draw_row(ax, grid, panels, i, row, 1 + sum(len(r.captions()) for r in rows[:i]))
    if panels.note:
        _write(ax, (0.03 / grid.width, 0.03 / grid.height), panels.note, GREY)
    return ax, drawn


def _draw_query(ax: Axes, grid: _Grid, panels: Panels, row: int) -> Axes:
    panel = ax.inset_axes(grid.panel(row, -1))
    panels.draw(panel, 0, GREY)
    return panel


def _draw_row(ax: Axes, grid: _Grid, panels: Panels, row: int, shown: Row, first: int) -> list[Axes]:
    captions = shown.captions()
    _write(ax, grid.heading(row, 0), shown.heading + ("" if captions else " (none)"), shown.color)
    drawn = []
    for i, (label, value) in enumerate(captions):
        panel = ax.inset_axes(grid.panel(row, i))
        panels.draw(panel, first + i, shown.color)
        _caption(panel, [(label, INK), (value, shown.color)])
        drawn.append(panel)
    return drawn


def _write(ax: Axes, place: tuple[float, float], text: str, color: str) -> None:
    ax.text(
        *place, text, transform=ax.transAxes, fontsize=SMALL_SIZE, color=color, va="bottom", parse_math=False
    )


def _caption(panel: Axes, lines: list[tuple[str, str]]) -> None:
    for i, (text, color) in enumerate(lines):
        panel.annotate(
            shorten(text, 20 if len(lines) > 2 else 14),
            (0.5, 0.0),
            (0.0, -3.0 - 72.0 * _LINE * i),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=SMALL_SIZE,
            color=color,
            parse_math=False,
        )
