"""``--html``: what a command found, as a page to look at and to decide on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dataval.cli.cells import make_cells
from dataval.cli.console import say
from dataval.cli.errors import UsageError
from dataval.cli.figures import Noisy
from dataval.cli.output import check_output
from dataval.cli.samples import Samples
from dataval.cli.suspicion import Suspicion
from dataval.evaluation import Comparison
from dataval.reports import Report, report
from dataval.reports.page import SIGNATURE

__all__ = ["check_page", "comparison_page", "detected_page", "write_page"]


def check_page(path: Path, inputs: list[Path]) -> None:
    """Raise unless a page can be written here: over nothing, or over an earlier one."""
    check_output(path, inputs, SIGNATURE.encode())


def detected_page(path: Path, samples: Samples, found: Suspicion) -> Report:
    """Return the page of the samples of a file.

    Parameters
    ----------
    path : Path
        The file, for the page's head.
    samples : Samples
        What was read of it.
    found : Suspicion
        What is thought of it.
    """
    y = np.array(samples.labels) if samples.classes else samples.targets.numbers()
    names = {"class_names": list(samples.classes)} if samples.classes else {}
    inputs = {} if samples.are_images else _columns(samples)
    return _made(
        {found.by: found.values}, inputs or samples.X, y,
        predictions=found.outputs, ids=samples.rows, title=path.name,
        data=str(path), model=f"suggestions of {found.by}, held out", **names,
    )  # fmt: skip


def comparison_page(result: Comparison, samples: Noisy, dataset: str) -> Report:
    """Return the page of a comparison."""
    data = samples.data
    return _made(
        result, data.X_train, samples.y, is_noisy=samples.is_noisy, class_names=list(data.class_names),
        title=f"Methods on {dataset}", data=data.name,
    )  # fmt: skip


def write_page(page: Report, path: Path) -> None:
    """Write a page, and say so."""
    try:
        page.save(path)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from error
    say(f"the report is {path}")


def _columns(samples: Samples) -> dict[str, list[str]]:
    """Return the cells of all columns but that of the labels, as text."""
    texts = {str(name): make_cells(cells).texts() for name, cells in samples.columns.items()}
    return {name: cells for name, cells in texts.items() if cells != samples.labels}


def _made(values: object, X: object, y: object, **options: object) -> Report:
    try:
        return report(values, X, y, **options)  # type: ignore[arg-type]
    except ImportError as error:
        raise UsageError(str(error)) from error
