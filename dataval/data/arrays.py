"""What a caller passes in as arrays, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.data.contents import first_not_finite, read_contents
from dataval.data.maps import is_mapped
from dataval.data.samples import Data
from dataval.data.structure import map_named
from dataval.data.tables import is_table, table_array
from dataval.errors import InvalidDataError

__all__ = ["as_array", "as_arrays", "as_numbers", "to_numpy"]


def as_arrays(X: Any, y: Any, what: str) -> Data:
    """Check arrays that a caller passed in; see `as_data`."""
    inputs = map_named(lambda name, leaf: as_array(leaf, name, what), _as_structure(X, "inputs", what))
    targets = map_named(lambda name, leaf: as_array(leaf, name, what), _as_structure(y, "targets", what), "y")
    data = Data(inputs, targets)
    _check_lengths(data, what)
    _check_finite(data, what)
    return data


def _as_structure(given: Any, kind: str, what: str) -> Any:
    """Return nested tuples and dicts as plain ones, whatever mapping they were."""
    if isinstance(given, Mapping | tuple) and not given:
        raise InvalidDataError(f"the {what} {kind} are an empty {type(given).__name__}")
    if isinstance(given, tuple):
        return tuple(_as_structure(part, kind, what) for part in given)
    is_mapping = isinstance(given, Mapping) or (hasattr(given, "keys") and not _advice(given))
    if is_mapping and not is_table(given):
        return {key: _as_structure(part, kind, what) for key, part in dict(given).items()}
    return given


def _advice(given: Any) -> str:
    """Return how to turn what is no array into one, or nothing for what may be an array."""
    if given is None:
        return "pass an array, one entry a sample"
    if isinstance(given, str | bytes):
        return "pass the samples themselves, as an array of numbers"
    if hasattr(given, "toarray"):
        return "pass a dense one, X.toarray()"
    if _is_data_set(given):
        return "pass the data set alone, in place of X, and its samples' targets are found in it"
    if hasattr(given, "__next__") or isinstance(given, set | frozenset | range):
        return "pass an array: np.array(list(X))"
    if not hasattr(given, "__len__") and not hasattr(given, "__array__") and not np.isscalar(given):
        return "pass an array, one entry a sample"
    return ""


def _is_data_set(given: Any) -> bool:
    """Whether these are samples by number, as a framework's data sets are, and no sequence or array."""
    kinds = {each.__name__ for each in type(given).__mro__}
    if hasattr(given, "as_numpy_iterator") or kinds & {"Dataset", "DataLoader"}:
        return True
    is_known = isinstance(given, Sequence | Mapping) or hasattr(given, "__array__") or hasattr(given, "keys")
    return not is_known and not is_table(given) and hasattr(given, "__getitem__") and hasattr(given, "__len__")


def to_numpy(array: Any) -> NDArray[Any]:
    """Return any framework's array as NumPy's, off its device and its differentiation; masks stay masked."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    elif hasattr(array, "numpy") and not isinstance(array, np.ndarray):
        array = array.numpy()
    return np.asanyarray(array)


def as_array(leaf: Any, name: str, what: str) -> NDArray[Any]:
    """Return what stands at one place of inputs or targets as an array with the samples along its first axis.

    Raises
    ------
    InvalidDataError
        If it is none of numbers.
    """
    if is_table(leaf):
        return table_array(leaf, name, what)
    array = as_numbers(leaf, name, what)
    if array.ndim == 0:
        raise InvalidDataError(f"the {what} {name} is a single number, not one entry a sample")
    return array


def as_numbers(leaf: Any, name: str, what: str) -> NDArray[Any]:
    """Return an array of numbers, of any shape.

    Raises
    ------
    InvalidDataError
        If it is something else.
    """
    if advice := _advice(leaf):
        raise InvalidDataError(f"the {what} {name} is {described(leaf)}: {advice}")
    try:
        array = to_numpy(leaf)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            f"the {what} {name} can't be read as an array: {' '.join(str(error).split())}"
        ) from error
    if array.dtype.kind not in "fiub":
        raise InvalidDataError(
            f"the {what} {name} has dtype {array.dtype}: convert it to numbers first "
            "(for class names: sklearn.preprocessing.LabelEncoder)"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise InvalidDataError(
            f"the {what} {name} is a masked array: impute or drop what is masked, then pass its .data"
        )
    return array


def _check_lengths(data: Data, what: str) -> None:
    n = len(data)
    if n == 0:
        raise InvalidDataError(f"the {what} set is empty")
    for name, leaf in data.leaves():
        if len(leaf) != n:
            raise InvalidDataError(
                f"the {what} {name} holds {len(leaf)} samples but y holds {n}: "
                "the first axis of every array must be the samples"
            )


def _check_finite(data: Data, what: str) -> None:
    mapped = {} if data.memory_bytes is not None else read_contents(data.leaves()).not_finite
    for name, leaf in data.leaves():
        sample = mapped.get(name) if is_mapped(leaf) else first_not_finite(leaf)
        if sample is not None:
            raise InvalidDataError(
                f"the {what} {name} contains NaN or infinity, first at sample {sample}: "
                "impute or drop such samples"
            )
