"""Validation samples, or queries, that must be of the training samples' form."""

from __future__ import annotations

from typing import Any

from dataval.data import Form, Samples, as_data
from dataval.errors import InvalidDataError

__all__ = ["as_validation"]


def as_validation(X: Any, y: Any, training: Samples, what: str = "validation") -> Samples:
    """Return validation samples, checked; `what` is how messages call them.

    Raises
    ------
    InvalidDataError
        If they can't be used, or their inputs are shaped otherwise than the training inputs.
    """
    data = as_data(X, y, what)
    known, given = _inputs(training), _inputs(data)
    if given.keys() != known.keys():
        raise InvalidDataError(
            f"the {what} inputs hold {list(given)}, the training inputs {list(known)}: they must be the same"
        )
    for name, form in given.items():
        if len(form.shape) != len(known[name].shape):
            raise InvalidDataError(
                f"the {what} {name} has shape {(len(data), *form.shape)}, the training {name} "
                f"{(len(training), *known[name].shape)}: they must have as many axes"
            )
    return data


def _inputs(samples: Samples) -> dict[str, Form]:
    return {name: form for name, form in samples.form().items() if name.startswith("X")}
