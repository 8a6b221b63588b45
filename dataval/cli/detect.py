"""``dataval detect``: the rows of a file whose labels look wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataval.cli.choices import DetectMethod, TaskName
from dataval.cli.console import say
from dataval.cli.errors import UsageError
from dataval.cli.page import detected_page, write_page
from dataval.cli.samples import Samples, read_samples
from dataval.cli.suspicion import HeldOut, make_learner, predict_held_out, suspicion_values

__all__ = ["run_detect"]

_FEWEST = 10
_RANKED = ["rank", "row", "label", "value"]
_CLASS, _NUMBER = ["suggested_label", "probability"], ["suggested_value"]

Rows = list[list[object]]


def run_detect(
    path: Path,
    *,
    label: str | None = None,
    method: DetectMethod = "mean-loss",
    model: str | None = None,
    epochs: int = 20,
    seed: int = 0,
    top: int | None = None,
    task: TaskName | None = None,
    header: bool | None = None,
    html: Path | None = None,
) -> Rows:
    """Value every row of a file, and say on standard error what of it was left out, filled in or guessed.

    Parameters
    ----------
    path : Path
        ``.npz``, ``.csv``, ``.tsv`` or ``.parquet``: see `dataval.cli.samples.read_samples`.
    label, task, header
        As for `read_samples`.
    method, model, epochs, seed
        As for `dataval.cli.suspicion`.
    top : int, optional
        Return so many rows only.
    html : Path, optional
        Write a report of all rows there.

    Returns
    -------
    list of list
        The names of the columns, then the rows, the most suspicious first: ``rank`` (from 1), ``row`` (of the
        file, from 0, without the header), ``label``, ``value``, then what a model would say that was trained
        on the other four fifths of the file: ``suggested_label`` and its ``probability``, or
        ``suggested_value``; then the row's own columns. One whose name is taken is called ``input_`` and that.

    Raises
    ------
    UsageError
        If the file can't be used.
    """
    samples = read_samples(path, label, task=task, header=header)
    if len(samples.y) < _FEWEST:
        raise UsageError(f"{path} holds {len(samples.y)} samples: at least {_FEWEST} are needed")
    learner = make_learner(samples, model, epochs, seed)
    learner.prepare(samples.X, samples.y)  # so that what doesn't fit ends before anything is said
    for note in samples.notes:
        say(f"note: {note}")
    held_out = predict_held_out(learner, samples, seed)
    values = suspicion_values(learner, samples, method, held_out)
    if html is not None:
        write_page(detected_page(path, samples, values, held_out, method), html)
    order = np.argsort(values, kind="stable")[:top]
    return [_names(samples), *_ranked(samples, values, held_out, order)]


def _names(samples: Samples) -> list[object]:
    names = dict.fromkeys([*_RANKED, *(_CLASS if samples.classes else _NUMBER)])
    for name in samples.columns:
        while name in names:
            name = f"input_{name}"
        names[name] = None
    return list(names)


def _ranked(
    samples: Samples, values: npt.NDArray[np.float64], held_out: HeldOut, order: npt.NDArray[np.int64]
) -> Rows:
    rows: Rows = []
    for rank, i in enumerate(order.tolist(), 1):
        own = [cells[i] for cells in samples.columns.values()]
        ranked = [rank, int(samples.rows[i]), samples.labels[i], f"{values[i]:.6g}"]
        rows.append([*ranked, *_suggestion(samples, held_out.outputs[i]), *own])
    return rows


def _suggestion(samples: Samples, outputs: npt.NDArray[np.float64]) -> list[object]:
    if not samples.classes:
        return [f"{outputs[0]:.6g}"]
    best = int(outputs.argmax())
    return [samples.classes[best], f"{outputs[best]:.4f}"]
