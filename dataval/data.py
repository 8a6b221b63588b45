"""Training and validation data as the caller gave them: read, checked, never written to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described
from dataval.errors import InvalidDataError

__all__ = ["Data", "Inputs", "as_data", "to_numpy"]

Inputs = NDArray[Any] | tuple[NDArray[Any], ...] | dict[str, NDArray[Any]]

_CHUNK_BYTES = 2**26


@dataclass(frozen=True)
class Data:
    """Inputs and targets as NumPy arrays (views of the caller's memory where that is possible).

    Attributes
    ----------
    inputs : ndarray, tuple of ndarray, or dict of ndarray
        Every array has the samples along its first axis.
    targets : ndarray
    """

    inputs: Inputs
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: NDArray[np.int64] | slice) -> Data:
        """Return the samples at `indices`."""
        return Data(self.map_inputs(lambda leaf: leaf[indices]), self.targets[indices])

    def map_inputs(self, function: Callable[[NDArray[Any]], Any]) -> Any:
        """Apply a function to every input array, keeping the structure."""
        return _map(lambda _, leaf: function(leaf), self.inputs)

    def leaves(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield every array with its name: ``X``, ``X[0]`` or ``X['key']``, then ``y``."""
        pairs: list[tuple[str, NDArray[Any]]] = []
        _map(lambda name, leaf: pairs.append((name, leaf)), self.inputs)
        yield from pairs
        yield "y", self.targets

    def fingerprint(self) -> str:
        """Return a hash of every shape, dtype and value."""
        digest = hashlib.blake2b(digest_size=16)
        for name, leaf in self.leaves():
            digest.update(f"{name}{leaf.shape}{leaf.dtype.str}".encode())
            for chunk in _chunks(leaf):
                digest.update(np.ascontiguousarray(chunk).data)
        return digest.hexdigest()

    def checksum(self) -> int:
        """Return a number that changes where a value does; cheaper than `fingerprint`, and for one process."""
        found = 0
        for _, leaf in self.leaves():
            for chunk in _chunks(leaf):
                found = crc32(np.ascontiguousarray(chunk).data.cast("B"), found)
        return found

    def shares_memory(self, other: Data) -> bool:
        """Whether all arrays are the very same stretches of memory, read in the same way."""
        return _layout(self) == _layout(other)


def as_data(X: Any, y: Any, what: str = "training") -> Data:
    """Check data that a caller passed in.

    Parameters
    ----------
    X : array, tuple of arrays or dict of arrays
        NumPy arrays, memory maps, torch or TensorFlow tensors, or nested lists.
    y : array
        One target a sample.
    what : str, default "training"
        What messages call the data.

    Returns
    -------
    Data

    Raises
    ------
    InvalidDataError
        If there are no samples, lengths differ, an array is not numeric, or a value is NaN or infinite.
    """
    inputs = _map(lambda name, leaf: _as_array(leaf, name, what), _as_structure(X, what))
    data = Data(inputs, _as_array(y, "y", what))
    _check_lengths(data, what)
    for name, leaf in data.leaves():
        _check_finite(name, leaf, what)
    return data


def _layout(data: Data) -> list[Any]:
    leaves = [(name, leaf.__array_interface__, leaf.strides) for name, leaf in data.leaves()]
    return [
        (name, array["data"][0], array["shape"], array["typestr"], strides) for name, array, strides in leaves
    ]


def _map(function: Callable[[str, Any], Any], inputs: Any) -> Any:
    """Apply a function of (name, array) to every input array, keeping the structure."""
    if isinstance(inputs, dict):
        return {key: function(f"X[{key!r}]", leaf) for key, leaf in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(function(f"X[{i}]", leaf) for i, leaf in enumerate(inputs))
    return function("X", inputs)


def _as_structure(X: Any, what: str) -> Any:
    if isinstance(X, dict | tuple) and not X:
        raise InvalidDataError(f"the {what} inputs are an empty {type(X).__name__}")
    if _advice(X):
        return X
    return dict(X) if hasattr(X, "keys") else X


def _advice(given: Any) -> str:
    """Return how to turn what is no array into one, or nothing for what may be an array."""
    kinds = {each.__name__ for each in type(given).__mro__}
    if given is None:
        return "pass an array, one entry a sample"
    if isinstance(given, str | bytes):
        return "pass the samples themselves, as an array of numbers"
    if hasattr(given, "iloc") and not hasattr(given, "name"):
        return "pass its values, X.to_numpy(dtype='float32')"
    if hasattr(given, "toarray"):
        return "pass a dense one, X.toarray()"
    if "DataLoader" in kinds:
        return "pass arrays: np.concatenate of its batches' inputs and of their targets"
    if hasattr(given, "as_numpy_iterator") or "Dataset" in kinds or _is_indexable_dataset(given):
        return "pass arrays of its inputs and of its targets: X, y = map(np.stack, zip(*dataset))"
    if hasattr(given, "__next__") or isinstance(given, set | frozenset | range):
        return "pass an array: np.array(list(X))"
    if not hasattr(given, "__len__") and not hasattr(given, "__array__") and not np.isscalar(given):
        return "pass an array, one entry a sample"
    return ""


def _is_indexable_dataset(given: Any) -> bool:
    """Whether these are samples by number, as a framework's data sets are, and no sequence or array."""
    is_known = isinstance(given, Sequence | Mapping) or hasattr(given, "__array__") or hasattr(given, "keys")
    return not is_known and hasattr(given, "__getitem__") and hasattr(given, "__len__")


def to_numpy(array: Any) -> NDArray[Any]:
    """Return any framework's array as NumPy's, off its device and its differentiation; masks stay masked."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    elif hasattr(array, "numpy") and not isinstance(array, np.ndarray):
        array = array.numpy()
    return np.asanyarray(array)


def _as_array(leaf: Any, name: str, what: str) -> NDArray[Any]:
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
    if array.ndim == 0:
        raise InvalidDataError(f"the {what} {name} is a single number, not one entry a sample")
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


def _check_finite(name: str, leaf: NDArray[Any], what: str) -> None:
    if leaf.dtype.kind != "f":
        return
    start = 0
    for chunk in _chunks(leaf):
        finite = np.isfinite(chunk)
        if not finite.all():
            sample = start + int(np.argmin(finite.reshape(len(chunk), -1).all(axis=1)))
            raise InvalidDataError(
                f"the {what} {name} contains NaN or infinity, first at sample {sample}: "
                "impute or drop such samples"
            )
        start += len(chunk)


def _chunks(leaf: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield a (possibly memory-mapped) array in pieces of bounded size."""
    rows = max(1, int(_CHUNK_BYTES // max(1, leaf[:1].nbytes)))
    for start in range(0, len(leaf), rows):
        yield leaf[start : start + rows]
