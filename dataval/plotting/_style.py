"""What all figures share: width, sizes of type, and colours safe for colour-blind readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN_WIDTH = 3.3
"""Width of a column of a paper, in inches."""

INK = "#222222"
GREY = "#767676"
LIGHT_GREY = "#dddddd"
RED = "#D55E00"
"""Vermilion of the palette, for what is wrong."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette (2008) without its yellow, which is too pale for a line on white."""

LINE_STYLES: tuple[str | tuple[float, tuple[float, ...]], ...] = (
    "-",
    (0.0, (4.0, 1.2)),
    (0.0, (4.0, 1.2, 1.0, 1.2)),
    (0.0, (1.5, 1.0)),
)

TEXT_SIZE = 8.0
SMALL_SIZE = 7.0


def new_axes(height: float, width: float = COLUMN_WIDTH) -> Axes:
    """Make a figure, one column wide by default and `height` in inches, and return its axes.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'figures need matplotlib, which is not installed: pip install "dataval[plots]"'
        ) from error
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def new_canvas(width: float, height: float) -> Axes:
    """Make a figure of this size in inches, and return axes that fill it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    ax = new_axes(height, width)
    ax.figure.set_layout_engine("none")  # type: ignore[union-attr]
    ax.set_position((0.0, 0.0, 1.0, 1.0))
    return ax


def tidy(ax: Axes) -> None:
    """Lighten the frame and set the sizes of type."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(labelsize=SMALL_SIZE, color=GREY, labelcolor=INK, length=3.0)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_fontsize(TEXT_SIZE)
        label.set_color(INK)
