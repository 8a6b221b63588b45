"""Reading labelled samples from whatever people have: tables, arrays, folders of images, data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.arrays import as_images, read_arrays
from dataval.cli.cells import make_cells
from dataval.cli.choices import TaskName
from dataval.cli.columns import make_features
from dataval.cli.delimited import TEXT_SUFFIXES, is_delimited, read_delimited
from dataval.cli.encoding import standardised
from dataval.cli.errors import UsageError
from dataval.cli.hugging_face import is_dataset, read_dataset
from dataval.cli.inputs import check_input
from dataval.cli.packed import PACKED_SUFFIXES
from dataval.cli.pictures import column_of_paths, read_folder, read_images
from dataval.cli.table import Table, is_unlabelled, shown
from dataval.cli.targets import Targets, make_targets
from dataval.cli.typed import TYPED_SUFFIXES, is_typed, read_typed

__all__ = ["Samples", "Wanted", "read_samples"]

_FEWEST = 10
_LABELS = ("y", "label", "labels", "target", "class")


@dataclass(frozen=True)
class Wanted:
    """What was said about a file.

    Attributes
    ----------
    label : str or None
        Name of the column or array of labels. None: ``y``; in a table without one ``label``, ``labels``,
        ``target`` or ``class``.
    task : {"classification", "regression"} or None
        What the labels are; by what they look like for None.
    header : bool or None
        Whether the first row of a text table names the columns; by whether it looks like the others for None.
    drop, keep, text : tuple of str
        Columns that aren't learnt from; that are, though they look like ids or names; that are read as text.
        Several names may be one, separated by commas.
    id : str or None
        A column that names the rows, which isn't learnt from.
    """

    label: str | None = None
    task: TaskName | None = None
    header: bool | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    id: str | None = None


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples fit for a model.

    Attributes
    ----------
    X : ndarray of float32, shape (n, n_features) or (n, channels, height, width)
        Features with mean 0 and standard deviation 1, categories one-hot; or images.
    targets : Targets
        What is to be learnt.
    labels : list of str, length n
        As they are in the file.
    rows : ndarray of int64, shape (n,)
        Where each sample is in the file, from 0, without the header.
    columns : mapping of str to sequence of length n
        The samples' cells in all columns of a table; a data frame, or empty for arrays.
    notes : list of str
        What was left out, filled in or guessed.
    understood : str
        What the file was taken for, in one line.
    """

    X: npt.NDArray[np.float32]
    targets: Targets
    labels: list[str]
    rows: npt.NDArray[np.int64]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    understood: str = ""

    @property
    def y(self) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """The targets' numbers."""
        return self.targets.y

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes; empty for numbers to predict."""
        return self.targets.classes

    @property
    def are_images(self) -> bool:
        """Whether the samples are images."""
        return self.X.ndim == 4


def read_samples(path: Path, wanted: Wanted) -> Samples:
    """Read a file, or a folder.

    Parameters
    ----------
    path : Path
        ``.npz`` with an array ``X`` (features, or images with channels first or last) and one of labels; a text
        table, Parquet, Feather, JSON lines or Excel; a folder of images whose folders are the classes; what
        Hugging Face's ``save_to_disk`` wrote. A table with a column of paths to images stands for these.
    wanted : Wanted
        What was said about it.

    Raises
    ------
    UsageError
        If it can't be read or holds nothing that a model can be trained on. All that is wrong with a table is
        said at once.
    """
    label = wanted.label or _LABELS[0]
    if path.is_dir():
        return _of_folder(path, wanted, label)
    if path.suffix.lower() == ".npz":
        _no_columns(wanted, path)
        return _of_arrays(path, label, wanted.task)
    if is_delimited(path):
        check_input(path)
        return _of_table(read_delimited(path, label, wanted.header), path, wanted)
    if is_typed(path):
        return _of_table(read_typed(path, label), path, wanted)
    named, packed = ", ".join((*TEXT_SUFFIXES, *TYPED_SUFFIXES)), ", ".join(PACKED_SUFFIXES)
    raise UsageError(
        f"{path} must end in .npz, {named} (text also with {packed}), or "
        "be a folder of images or a data set of Hugging Face"
    )


def _of_folder(path: Path, wanted: Wanted, label: str) -> Samples:
    if is_dataset(path):
        return _of_table(read_dataset(path, label), path, wanted)
    if path.name.lower().endswith((*TEXT_SUFFIXES, *TYPED_SUFFIXES, ".npz")):
        raise UsageError(f"{path} is a folder: name a file")
    _no_columns(wanted, path)
    X, labels, paths = read_folder(path)
    return _of_images(X, labels, np.arange(len(labels)), {"path": paths}, wanted.task, "folders", [])


def _no_columns(wanted: Wanted, path: Path) -> None:
    given = [name for name in ("drop", "keep", "text", "id") if getattr(wanted, name)]
    if given:
        raise UsageError(f"{path} is no table: leave out {', '.join(f'--{name}' for name in given)}")


def _of_arrays(path: Path, label: str, task: TaskName | None) -> Samples:
    X, array = read_arrays(path, label)
    labels, kept, notes = _labelled(array.astype(str).tolist(), label)
    X = X[kept]
    _check_enough(path, labels)
    if X.ndim in (3, 4):
        return _of_images(as_images(X), labels, kept, {}, task, label, notes)
    features = standardised(X.reshape(len(X), -1).astype(np.float64))
    targets, more = make_targets(labels, label, task)
    understood = f"{_rows(labels)} of {features.shape[1]} numbers; {_task(targets, label)}"
    return Samples(features, targets, labels, kept, notes=[*notes, *more], understood=understood)


def _of_images(
    X: npt.NDArray[np.float32],
    labels: list[str],
    rows: npt.NDArray[np.int64],
    columns: Mapping[str, Sequence[Any]],
    task: TaskName | None,
    label: str,
    notes: list[str],
) -> Samples:
    targets, more = make_targets(labels, label, task)
    size = " x ".join(map(str, X.shape[1:]))
    understood = f"{len(labels)} images of {size}; {_task(targets, label)}"
    return Samples(X, targets, labels, rows, columns, [*notes, *more], understood)


def _of_table(table: Table, path: Path, wanted: Wanted) -> Samples:
    frame = table.frame
    problems: list[str] = []
    label = _label_of(table, wanted, path, problems)
    named = (wanted.id,) if wanted.id else ()
    flags = {"--drop": wanted.drop, "--id": named, "--keep": wanted.keep, "--text": wanted.text}
    drop, id_, keep, text = (_named(frame, names, flag, label, problems) for flag, names in flags.items())
    if label is None:
        raise UsageError("; ".join(problems))
    try:
        labels, kept, notes = _labelled(make_cells(frame[label]).texts(), label)
        targets, about_labels = make_targets(labels, label, wanted.task)
        _check_enough(path, labels)
    except UsageError as problem:
        problems.append(str(problem))
        labels, kept, notes = [], np.arange(len(frame)), []
    frame = frame.iloc[kept] if len(kept) < len(frame) else frame
    features = frame.drop(columns=list({label, *drop, *id_}))
    if table.images is None and (paths := column_of_paths(features, path.parent)) is not None:
        table.images = _pictures(features[paths], path.parent, problems)
        _raise_all(problems)
    elif table.images is not None:
        table.images = table.images[kept]
    if table.images is not None:
        if keep or text:
            problems.append("only the images are learnt from: leave out --keep and --text")
        _raise_all(problems)
        notes = [*table.notes, *notes, "only the images are learnt from, no other column"]
        return _of_images(table.images, labels, kept, frame, wanted.task, label, notes)
    try:
        found = make_features(features, keep=keep, text=text, comma=table.comma)
    except UsageError as problem:
        problems.append(str(problem))
    _raise_all(problems)
    kinds = ", ".join(f"{len(names)} of {kind}" for kind, names in found.kinds.items())
    understood = (
        f"{_rows(labels)}, {features.shape[1]} columns to learn from ({kinds}); {_task(targets, label)}"
    )
    notes = [*table.notes, *notes, *about_labels, *found.notes]
    return Samples(found.X, targets, labels, kept, _id_first(frame, wanted), notes, understood)


def _pictures(column: Any, folder: Path, problems: list[str]) -> npt.NDArray[np.float32] | None:
    try:
        return read_images([folder / str(cell).strip() for cell in column])
    except UsageError as problem:
        problems.append(str(problem))
        return None


def _raise_all(problems: list[str]) -> None:
    if problems:
        raise UsageError("; ".join(dict.fromkeys(problems)))


def _id_first(frame: Any, wanted: Wanted) -> Any:
    if not wanted.id:
        return frame
    return frame[[wanted.id, *(name for name in frame.columns if name != wanted.id)]]


def _label_of(table: Table, wanted: Wanted, path: Path, problems: list[str]) -> str | None:
    """Return the column of labels, or None with a problem more."""
    names = list(table.frame.columns)
    label = table.label
    if wanted.label is None and label not in names:
        label = next((name for name in _LABELS if name in names), label)
        if label in names:
            table.notes.append(f"the labels are the column {label!r} (--label otherwise)")
    if label not in names:
        problems.append(f"{path} has no column {label!r}: name the labels with --label, one of {shown(names)}")
        return None
    if len(names) < 2 and table.images is None:
        problems.append(f"{path} has no column beside {label!r}: there are no features")
    return str(label)


def _named(frame: Any, names: tuple[str, ...], flag: str, label: str | None, problems: list[str]) -> list[str]:
    """Return the columns that are named, each alone or several with commas between."""
    known = set(frame.columns)
    found = [part for name in names for part in ([name] if name in known else name.split(","))]
    found = [name if name in known else name.strip() for name in found]
    if unknown := [name for name in found if name not in known]:
        problems.append(f"{flag} names no column {shown(unknown)}: there are {shown(frame.columns)}")
    if label in found:
        problems.append(f"{flag} names {label!r}, which are the labels")
    return [name for name in found if name in known]


def _labelled(cells: Sequence[str], name: str) -> tuple[list[str], npt.NDArray[np.int64], list[str]]:
    """Return the labels that are there, their rows, and a note on the others."""
    labels = [cell.strip() for cell in cells]
    kept = np.array([row for row, label in enumerate(labels) if not is_unlabelled(label)], dtype=np.int64)
    if not len(kept):
        raise UsageError(f"the labels {name!r} are all empty: name another column with --label")
    left_out = len(labels) - len(kept)
    notes = [f"rows left out, as they have no label: {left_out}"] if left_out else []
    return [labels[row] for row in kept.tolist()], kept, notes


def _check_enough(path: Path, labels: list[str]) -> None:
    if len(labels) < _FEWEST:
        raise UsageError(f"{path} holds {len(labels)} samples: at least {_FEWEST} are needed")


def _rows(labels: list[str]) -> str:
    return f"{len(labels)} rows"


def _task(targets: Targets, label: str) -> str:
    """Return what is to be learnt, with the sizes of the classes."""
    if not targets.classes:
        return f"regression of {label!r}"
    counts = np.bincount(targets.y)
    order = np.argsort(-counts, kind="stable")[:6].tolist()
    sizes = ", ".join(f"{targets.classes[i]!r} {counts[i]}" for i in order)
    more = ", ..." if len(counts) > len(order) else ""
    return f"classification of {label!r}, {len(counts)} classes ({sizes}{more})"
