"""Lines of cells as the text of a table: for a terminal, a page, a paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape

__all__ = ["Lines", "aligned", "as_csv", "as_html", "as_latex", "as_markdown"]

Lines = Sequence[Sequence[str]]
"""A head and the rows under it, each as long as the head; names stand in the first column."""

_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
}


def aligned(lines: Lines) -> str:
    """Return columns of equal width: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def as_markdown(lines: Lines) -> str:
    """Return a table in Markdown."""
    head, *rows = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *rows])


def as_latex(lines: Lines) -> str:
    r"""Return a ``tabular`` in LaTeX, with the rules of the package booktabs."""
    head, *rows = (" & ".join(map(_latex, line)) + r" \\" for line in lines)
    columns = "l" + "r" * (len(lines[0]) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def as_html(lines: Lines) -> str:
    """Return a table in HTML, with all text escaped."""
    head, *rows = ([escape(cell) for cell in line] for line in lines)
    titles = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for name, *cells in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def as_csv(lines: Lines) -> str:
    """Return comma-separated values."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def _latex(cell: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in cell)
