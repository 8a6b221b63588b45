"""Validation samples that must be of the training samples' form."""

from __future__ import annotations

from typing import Any

from dataval.data import Data, as_data
from dataval.errors import InvalidDataError

__all__ = ["as_validation"]


def as_validation(X: Any, y: Any, training: Data) -> Data:
    """Return validation samples, checked.

    Raises
    ------
    InvalidDataError
        If they can't be used, or their inputs are shaped otherwise than the training inputs.
    """
    data = as_data(X, y, "validation")
    known, given = dict(training.leaves()), dict(data.leaves())
    del known["y"], given["y"]
    if given.keys() != known.keys():
        raise InvalidDataError(
            f"the validation inputs hold {list(given)}, the training inputs {list(known)}: they must be "
            "the same"
        )
    for name, leaf in given.items():
        if leaf.ndim != known[name].ndim:
            raise InvalidDataError(
                f"the validation {name} has shape {leaf.shape}, the training {name} {known[name].shape}: they "
                "must have as many axes"
            )
    return data
