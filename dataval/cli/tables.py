"""Reading labelled samples from a file: ``.npz`` arrays, CSV or Parquet tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataval.cli.errors import UsageError

__all__ = ["Samples", "read_samples"]

_MOST_CATEGORIES = 50
_DEFAULT_LABEL = "y"
_BYTE = 255.0

Columns = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples fit for a model.

    Attributes
    ----------
    X : ndarray of float32, shape (n, n_features) or (n, channels, height, width)
        Features with mean 0 and standard deviation 1, categories one-hot; or images.
    y : ndarray of int64, shape (n,)
        Index of each label among `classes`.
    classes : tuple of str
    """

    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    classes: tuple[str, ...]


def read_samples(path: Path, label: str | None) -> Samples:
    """Read a file.

    Parameters
    ----------
    path : Path
        ``.npz`` with an array ``X`` (features, or images with channels first or last) and one of labels; or
        ``.csv`` with a header; or ``.parquet``.
    label : str or None
        Name of the column or array of labels; ``y`` for None.

    Raises
    ------
    UsageError
        If the file can't be read or holds nothing that a model can be trained on.
    """
    readers = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} must end in .npz, .csv or .parquet")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    samples = readers[path.suffix.lower()](path, label or _DEFAULT_LABEL)
    if len(samples.classes) < 2:
        raise UsageError(f"all labels of {path} are {samples.classes[0]!r}: two classes or more are needed")
    return samples


def _read_npz(path: Path, label: str) -> Samples:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"{path} can't be read as .npz without pickle: {error}") from error
    for name in ("X", label):
        if name not in arrays:
            raise UsageError(f"{path} holds no array {name!r}; it holds {sorted(arrays)}")
    X, labels = arrays["X"], arrays[label]
    if not len(labels) or X.ndim < 2 or len(X) != len(labels) or labels.ndim != 1:
        raise UsageError(
            f"{path}: X has shape {X.shape} and {label} {labels.shape}: give X (n, ...) and labels (n,)"
        )
    if X.dtype.kind not in "biuf" or not np.isfinite(X).all():
        raise UsageError(f"{path}: X must hold finite numbers, it is {X.dtype}")
    features = _images(X) if X.ndim in (3, 4) else _standardised(X.reshape(len(X), -1).astype(np.float64))
    return Samples(features, *_encoded(labels.tolist(), label))


def _images(X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Bring images to (n, channels, height, width), bytes to [0, 1]."""
    if X.ndim == 3:
        X = X[:, None]
    elif X.shape[-1] in (1, 3) and X.shape[1] not in (1, 3):
        X = np.moveaxis(X, -1, 1)
    pixels = X.astype(np.float32)
    return pixels / np.float32(_BYTE) if X.dtype == np.uint8 else pixels


def _read_csv(path: Path, label: str) -> Samples:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} can't be read as CSV: {error}") from error
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise UsageError(f"{path} is empty: a header and one row a sample are needed")
    header, body = rows[0], rows[1:]
    for number, row in enumerate(body, 1):
        if len(row) != len(header):
            raise UsageError(f"{path}: row {number} has {len(row)} cells, the header {len(header)}")
    if len({*header}) < len(header):
        raise UsageError(f"{path}: two columns have the same name")
    return _from_columns({name: [row[i] for row in body] for i, name in enumerate(header)}, path, label)


def _read_parquet(path: Path, label: str) -> Samples:
    try:
        import pandas as pd

        frame = pd.read_parquet(path)
    except ImportError as error:
        raise UsageError('Parquet needs pandas and pyarrow: pip install "dataval[tables]"') from error
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} can't be read as Parquet: {' '.join(str(error).split())}") from error
    if not len(frame):
        raise UsageError(f"{path} is empty: one row a sample is needed")
    frame = frame.astype(object).where(frame.notna(), "")
    return _from_columns({str(name): frame[name].tolist() for name in frame.columns}, path, label)


def _from_columns(columns: Columns, path: Path, label: str) -> Samples:
    if label not in columns:
        raise UsageError(
            f"{path} has no column {label!r}: name the labels with --label, one of {list(columns)}"
        )
    labels = columns.pop(label)
    if not columns:
        raise UsageError(f"{path} has no column beside {label!r}: there are no features")
    features = [_feature(name, cells) for name, cells in columns.items()]
    return Samples(_standardised(np.concatenate(features, axis=1)), *_encoded(labels, label))


def _feature(name: str, cells: list[Any]) -> npt.NDArray[np.float64]:
    """Return a column of numbers, shape (n, 1), or of categories, one-hot (n, n_categories)."""
    texts = [str(cell).strip() for cell in cells]
    if empty := sum(text == "" for text in texts):
        raise UsageError(f"column {name!r} has {empty} empty cells: fill or drop them")
    try:
        numbers = np.array(texts, dtype=np.float64)
    except ValueError:
        return _one_hot(name, texts)
    if not np.isfinite(numbers).all():
        raise UsageError(f"column {name!r} holds NaN or infinity: fill or drop such rows")
    return numbers[:, None]


def _one_hot(name: str, texts: list[str]) -> npt.NDArray[np.float64]:
    categories, index = np.unique(np.array(texts), return_inverse=True)
    if len(categories) > _MOST_CATEGORIES:
        raise UsageError(
            f"column {name!r} is not numeric and has {len(categories)} different values, such as "
            f"{texts[0]!r}: drop the column, or encode it as numbers"
        )
    return np.asarray(np.eye(len(categories))[index])


def _standardised(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    spread = features.std(axis=0)
    spread[spread == 0.0] = 1.0
    return np.asarray((features - features.mean(axis=0)) / spread, dtype=np.float32)


def _encoded(labels: list[Any], name: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return each label's index among the classes, and the classes."""
    texts = [str(label).strip() for label in labels]
    if empty := sum(text == "" for text in texts):
        raise UsageError(f"the labels {name!r} have {empty} empty cells: fill or drop such rows")
    classes, index = np.unique(np.array(texts), return_inverse=True)
    if len(classes) > max(2, len(texts) // 2):
        raise UsageError(
            f"the labels {name!r} take {len(classes)} different values in {len(texts)} rows: classes are "
            "needed, not numbers to predict"
        )
    return index.astype(np.int64), tuple(str(each) for each in classes)
