"""Whatever a caller passes in as data, as samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataval.data.arrays import as_arrays
from dataval.data.parts import split
from dataval.data.samples import Samples
from dataval.data.sources import is_stream, streamed
from dataval.data.tables import is_frame
from dataval.data.tensorflow_sets import is_pipeline, read_pipeline
from dataval.errors import InvalidDataError

__all__ = ["as_data"]


def as_data(X: Any, y: Any = None, what: str = "training") -> Samples:
    """Check data that a caller passed in.

    Parameters
    ----------
    X : array, nested tuples or dicts of arrays, data frame, or data set
        NumPy arrays, memory maps, torch or TensorFlow tensors, nested lists, columns and frames of pandas; or a
        map-style data set of single samples, a ``DataLoader`` of one, or a ``tf.data.Dataset``. Samples that
        were checked before are returned as they are.
    y : array, nested tuples or dicts of arrays, or str, optional
        The targets, one a sample. For a data set nothing, or the key of the target where samples are dicts; for
        a data frame or a dict of arrays also the name of the target in it.
    what : str, default "training"
        What messages call the data.

    Returns
    -------
    Samples

    Raises
    ------
    InvalidDataError
        If there are no samples, lengths differ, an array is not numeric, a value is NaN or infinite, targets
        are missing, or a data set can't be read again and again in the same order. Samples of a data set are
        checked when they are read.
    """
    if isinstance(X, Samples):
        if y is not None:
            raise InvalidDataError(f"the {what} samples hold their targets: leave y out")
        return X
    if is_stream(X):
        return streamed(X, y, what)
    if is_pipeline(X):
        if y is not None and not isinstance(y, str):
            raise InvalidDataError(f"the {what} tf.data.Dataset yields targets with its inputs: leave y out")
        return as_arrays(*read_pipeline(X, y, what), what)
    return as_arrays(*_with_targets(X, y, what), what)


def _with_targets(X: Any, y: Any, what: str) -> tuple[Any, Any]:
    """Return inputs and targets, where the targets may be a part of the inputs that is named."""
    if isinstance(y, str) and is_frame(X):
        if y not in X.columns:
            raise InvalidDataError(f"the {what} data frame has the columns {list(X.columns)}, no {y!r}")
        return X.drop(columns=y), X[y]
    if isinstance(y, str) and isinstance(X, Mapping) and X:
        return split(X, y, what)
    if y is None and X is not None:
        raise InvalidDataError(
            f"the {what} y is None: pass an array of targets, one entry a sample, or in place of X a data set "
            "that yields pairs (inputs, target)"
        )
    return X, y
