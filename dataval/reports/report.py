"""`report`: values, samples and labels as a page, in a file or in a notebook."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dataval.checks import described, one_of, real_number, some_path, whole_number
from dataval.files.atomic import is_plain, write_atomic
from dataval.pixels import Layout
from dataval.reports.contents import Subject, contents
from dataval.reports.media import Kind
from dataval.reports.page import SIGNATURE, make_page

__all__ = ["Report", "report"]

_HEIGHT = 760
_KINDS = ("images", "table", "texts")
_LAYOUTS = ("auto", "NCHW", "NHWC", "NHW")


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A page to look at samples on, and to decide what becomes of them. Made by `dataval.report`.

    In a notebook it shows itself, in a frame of its own without access to the notebook.

    Attributes
    ----------
    html : str
        The page. It needs no server and no network, and opens from a file.
    left_out : tuple of str
        What is not in it as it would have been too large; the page says so too.
    """

    html: str
    left_out: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return len(self.html.encode())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page into a file, in one exchange.

        Parameters
        ----------
        path : path
            The file; its folder is made if needed. An earlier report there is replaced.

        Raises
        ------
        FileExistsError
            If something else has this name.
        """
        file = some_path("path", path)
        check_target(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, lambda scratch: scratch.write_text(self.html, encoding="utf-8", newline="\n"))
        return file

    def __repr__(self) -> str:
        return f"Report({self.n_bytes / 1e6:.1f} MB; save(path) writes it into a file)"

    def _repr_html_(self) -> str:
        page = html.escape(self.html, quote=True)
        return (
            f'<iframe title="dataval report" sandbox="allow-scripts allow-downloads" width="100%" '
            f'height="{_HEIGHT}" style="border:0" srcdoc="{page}"></iframe>'
        )


def check_target(file: Path) -> None:
    """Refuse a name under which anything but a report would be replaced."""
    if not os.path.lexists(file):
        return
    beginning = b""
    if is_plain(file):
        with file.open("rb") as stream:
            beginning = stream.read(len(SIGNATURE))
    if beginning != SIGNATURE.encode():
        raise FileExistsError(f"path {file} exists and is no report: choose another name, or remove it")


def report(
    values: Any,
    X: Any = None,
    y: Any = None,
    *,
    predictions: Any = None,
    is_noisy: Any = None,
    ids: Any = None,
    class_names: Any = None,
    feature_names: Any = None,
    explanations: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    verification: Any = None,
    diagnostics: Any = None,
    removal: Any = None,
    run: Any = None,
    kind: Kind | None = None,
    layout: Layout = "auto",
    title: str = "What each sample is worth",
    data: str = "",
    model: str = "",
    warnings: str | Sequence[str] = (),
    budget: float = 25.0,
    seed: int = 0,
) -> Report:
    """Make a page on which a person looks at samples by value, and decides which labels are wrong.

    One file that opens anywhere: it holds the values, the samples and the client, asks no server for anything,
    and keeps decisions in the browser until they are exported; `apply_review` turns the export into labels and
    weights. Figures for a paper are in `dataval.plotting`; the page is for looking.

    Parameters
    ----------
    values : array, shape (N,), dict of str to array, or Comparison
        Higher helps, negative hurts; by method where there are several. Of a `Comparison`, each method's mean
        over the seeds, with what retraining said of them. NaN where a sample has none.
    X : optional
        The samples: images as an array (``layout``), an `ImageFolder`, or a list of paths or of Pillow's images
        (these need Pillow); a table as a data frame, a dict of columns or an array of shape
        (N, n_features); or a list of texts.
    y : array, shape (N,), optional
        Labels, as numbers or texts. Floats that are not whole are amounts, not classes.
    predictions : array, shape (N,) or (N, n_classes), optional
        The labels that a model suggests, or its probabilities in the order of the classes; of samples that it
        has not been trained on, or it repeats wrong labels.
    is_noisy : array of bool, shape (N,), optional
        Which labels are known to be wrong.
    ids : array, shape (N,), optional
        Names of the samples, all different. The page finds samples by them, and they are in what it exports.
    class_names : sequence or dict, optional
        What people call the classes 0, 1, 2, ..., or a dict by label. Texts name more classes than are in y.
    feature_names : sequence of str, optional
        Names of an array's columns.
    explanations : Explanations or array of shape (n_val, N), optional
        ``method.explain(X_val, y_val)``, whose values are of the predicted labels; or the matrix of
        ``method.attribute(X_val, y_val)``. The page holds the top 20 either way for each.
    X_val, y_val : optional
        The explained samples, as in X, where they are to be shown otherwise than the method saw them; and the
        true labels that a matrix is of.
    verification : LinearDatamodelingScore or dict by method, optional
        What ``method.verify`` returned. Without it the page says that nobody has checked the values.
    diagnostics : dict, or dict of dicts by method, optional
        ``method.diagnostics_`` of `HyDRA`: the page warns of chaotic training.
    removal : RemovalCurve or dict by method, optional
        What ``evaluation.removal_curve`` returned.
    run : TrainingRun, optional
        Adds each sample's loss over the epochs, the fingerprint and the versions.
    kind : {"images", "table", "texts"}, optional
        What X holds; by its shape by default.
    layout : {"auto", "NCHW", "NHWC", "NHW"}, default "auto"
        Axes of images in an array.
    title, data, model : str
        For the head of the page.
    warnings : str or sequence of str
        More that a reader should know, above everything else.
    budget : float, default 25.0
        Largest size in MB (10^6 bytes). All values are kept; images are made smaller first, then only the 2,000
        lowest, 500 highest and 500 random samples are shown. The page says what was left out.
    seed : int, default 0
        Draws the random samples.

    Returns
    -------
    Report
        ``.save("report.html")`` writes it; a notebook shows it.

    Raises
    ------
    ValueError, TypeError
        If the arguments don't fit each other; the values themselves are larger than the budget.
    ImportError
        If images are shown and Pillow is missing.

    Examples
    --------
    >>> page = dv.report(
    ...     {"HyDRA": values}, X, y, predictions=probabilities, verification=hydra.verify(X_val, y_val)
    ... )
    >>> page.save("report.html")
    >>> y_reviewed, weights = dv.apply_review(y, "review.csv")
    """
    for name, text in (("title", title), ("data", data), ("model", model)):
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a text, got {described(text)}")
    if kind is not None:
        one_of("kind", kind, _KINDS)
    one_of("layout", layout, _LAYOUTS)
    real_number("budget", budget, minimum=0)
    whole_number("seed", seed, minimum=0)
    subject = Subject.of(
        values, y, predictions=predictions, is_noisy=is_noisy, ids=ids, class_names=class_names,
        verification=verification, run=run,
    )  # fmt: skip
    head = {
        "title": title,
        "data": data,
        "model": model,
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "version": f"dataval {version('dataval')}, numpy {np.__version__}",
        "warnings": _texts(warnings),
    }
    found = contents(
        subject, X, kind=kind, layout=layout, feature_names=feature_names, explanations=explanations,
        X_val=X_val, y_val=y_val, diagnostics=diagnostics, removal=removal, budget=budget * 1e6, seed=seed,
    )  # fmt: skip
    document = {**found.document, "head": {**head, **found.facts, "left_out": found.left_out}}
    return Report(make_page(title, document, found.atlases), tuple(found.left_out))


def _texts(warnings: str | Sequence[str]) -> list[str]:
    if not isinstance(warnings, str | list | tuple):
        raise TypeError(f"warnings must be a text or a list of them, got {described(warnings)}")
    given = [warnings] if isinstance(warnings, str) else warnings
    odd = next((each for each in given if not isinstance(each, str | Warning)), None)
    if odd is not None:
        raise TypeError(f"warnings must be texts, got {described(odd)}")
    return [str(each) for each in given]
