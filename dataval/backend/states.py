"""States that somebody else trained, as flat arrays, after they were held against the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.contract import Backend
from dataval.errors import InvalidModelError

__all__ = ["flat_state"]

Named = Mapping[str, NDArray[Any]]
Layout = tuple[tuple[str, tuple[int, ...]], ...]

_MOST_NAMES = 3


def flat_state(backend: Backend, given: Any, what: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the parameters ``(P,)`` and buffers ``(S,)`` of a state.

    Parameters
    ----------
    backend : Backend
        Of the model that the state is one of.
    given
        What `Backend.arrays_of` reads.
    what : str
        Names the state in messages.

    Raises
    ------
    InvalidModelError
        If names are missing or unexpected, a shape is another, a number is not finite, or what is not trained
        differs from the model's.
    TypeError, FileNotFoundError
        As `Backend.arrays_of`.
    """
    try:
        named = backend.arrays_of(given)
    except (TypeError, InvalidModelError, FileNotFoundError) as error:
        raise type(error)(f"{what}: {error}") from error
    own, signature = backend.own_arrays(), backend.signature
    free = dict(signature.parameters + signature.buffers)
    _check_names(named, own, free, what)
    _check_arrays({name: array for name, array in named.items() if name in free}, free, what)
    _check_fixed(named, {name: array for name, array in own.items() if name not in free}, what)
    parameters = _joined(named, signature.parameters, signature.dtype)
    return parameters, _joined(named, signature.buffers, signature.dtype)


def _check_names(named: Named, own: Named, free: Mapping[str, Any], what: str) -> None:
    missing = [name for name in free if name not in named]
    unexpected = [name for name in named if name not in own]
    if missing or unexpected:
        raise InvalidModelError(
            f"{what} is of another model than the learner's: it lacks {_some(missing)} and adds "
            f"{_some(unexpected)}"
        )


def _check_arrays(named: Named, free: Mapping[str, tuple[int, ...]], what: str) -> None:
    for name, array in named.items():
        if array.shape != free[name]:
            raise InvalidModelError(
                f"{what} is of another model than the learner's: {name!r} has shape {array.shape}, the model's "
                f"{free[name]}"
            )
        if array.dtype.kind not in "biuf":
            raise InvalidModelError(f"{what} has no real numbers in {name!r}: {array.dtype}")
        if not np.isfinite(array).all():
            raise InvalidModelError(f"{what} has infinite or NaN numbers in {name!r}: the training diverged")


def _check_fixed(named: Named, own: Named, what: str) -> None:
    """Raise where the state has other numbers in what is no part of the vector that a run moves."""
    for name in (name for name in own if name in named):
        array = own[name]
        if array.shape != named[name].shape or not _equal(named[name].astype(array.dtype), array):
            raise InvalidModelError(
                f"{what} differs from the learner's model in {name!r}, which is not trained (frozen, or left "
                "out by params): load the state into the model before making the learner, or let it be trained"
            )


def _equal(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return np.array_equal(left, right, equal_nan=left.dtype.kind in "fc")


def _joined(named: Named, layout: Layout, dtype: str) -> NDArray[Any]:
    pieces = [named[name].reshape(-1).astype(dtype) for name, _ in layout]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype)


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(map(repr, found[:_MOST_NAMES])) + more if found else "nothing"
