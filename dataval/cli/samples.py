"""Reading labelled samples from a file: ``.npz`` arrays, text tables or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataval.cli.arrays import as_images, read_arrays
from dataval.cli.choices import TaskName
from dataval.cli.columns import make_features, standardised
from dataval.cli.delimited import is_delimited, read_delimited
from dataval.cli.errors import UsageError
from dataval.cli.inputs import check_input
from dataval.cli.table import Table, first_repeated, is_unlabelled
from dataval.cli.targets import Targets, make_targets

__all__ = ["Samples", "read_samples"]

_DEFAULT_LABEL = "y"


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
    columns : dict of str to list of str
        The samples' cells in all columns of a table; empty for arrays.
    notes : list of str
        What was left out, filled in or guessed.
    """

    X: npt.NDArray[np.float32]
    targets: Targets
    labels: list[str]
    rows: npt.NDArray[np.int64]
    columns: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def y(self) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """The targets' numbers."""
        return self.targets.y

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes; empty for numbers to predict."""
        return self.targets.classes


def read_samples(
    path: Path, label: str | None, *, task: TaskName | None = None, header: bool | None = None
) -> Samples:
    """Read a file.

    Parameters
    ----------
    path : Path
        ``.npz`` with an array ``X`` (features, or images with channels first or last) and one of labels;
        ``.csv`` or ``.tsv``, maybe compressed; or ``.parquet``.
    label : str or None
        Name of the column or array of labels; ``y`` for None.
    task : {"classification", "regression"}, optional
        What the labels are; by what they look like by default (`make_targets`).
    header : bool, optional
        Whether the first row of a text table names the columns; by whether it looks like the others by default.

    Raises
    ------
    UsageError
        If the file can't be read or holds nothing that a model can be trained on.
    """
    wanted = label or _DEFAULT_LABEL
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _from_arrays(path, wanted, task)
    if suffix == ".parquet":
        return _from_table(_read_parquet(path, wanted), path, task)
    if is_delimited(path):
        return _from_table(read_delimited(path, wanted, header), path, task)
    raise UsageError(f"{path} must end in .npz, .csv, .tsv (or these with .gz, .bz2, .xz) or .parquet")


def _from_arrays(path: Path, label: str, task: TaskName | None) -> Samples:
    X, array = read_arrays(path, label)
    labels, kept, notes = _labelled(array.astype(str).tolist(), label)
    X = X[kept]
    features = as_images(X) if X.ndim in (3, 4) else standardised(X.reshape(len(X), -1).astype(np.float64))
    targets, more = make_targets(labels, label, task)
    return Samples(features, targets, labels, kept, notes=[*notes, *more])


def _from_table(table: Table, path: Path, task: TaskName | None) -> Samples:
    labels, kept, notes = _labelled(table.labels(path), table.label)
    targets, about_labels = make_targets(labels, table.label, task)
    columns = {name: [cells[row] for row in kept.tolist()] for name, cells in table.columns.items()}
    features, about_columns = make_features({k: v for k, v in columns.items() if k != table.label})
    notes = [*table.notes, *notes, *about_labels, *about_columns]
    return Samples(features, targets, labels, kept, columns, notes)


def _labelled(cells: Sequence[str], name: str) -> tuple[list[str], npt.NDArray[np.int64], list[str]]:
    """Return the labels that are there, their rows, and a note on the others."""
    labels = [cell.strip() for cell in cells]
    kept = np.array([row for row, label in enumerate(labels) if not is_unlabelled(label)], dtype=np.int64)
    if not len(kept):
        raise UsageError(f"the labels {name!r} are all empty: name another column with --label")
    left_out = len(labels) - len(kept)
    notes = [f"rows left out, as they have no label: {left_out}"] if left_out else []
    return [labels[row] for row in kept.tolist()], kept, notes


def _read_parquet(path: Path, label: str) -> Table:
    check_input(path)
    try:
        import pandas as pd

        frame = pd.read_parquet(path)
    except ImportError as error:
        raise UsageError("Parquet needs pandas and pyarrow: pip install 'dataval[tables]'") from error
    except (ValueError, OSError, TypeError, RuntimeError) as error:
        raise UsageError(f"{path} can't be read as Parquet: {error}") from error
    if not len(frame):
        raise UsageError(f"{path} is empty: one row a sample is needed")
    names = [str(name) for name in frame.columns]
    if (twice := first_repeated(names)) is not None:
        raise UsageError(f"{path}: two columns have the same name {twice!r}: rename one")
    frame = frame.astype(object).where(frame.notna(), "")
    return Table({name: [str(c) for c in frame.iloc[:, i]] for i, name in enumerate(names)}, label)
