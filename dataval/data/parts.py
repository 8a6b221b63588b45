"""Which part of a sample is its target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataval.checks import described
from dataval.errors import InvalidDataError

__all__ = ["KEYS", "split"]

KEYS = ("labels", "label", "y", "target")
"""The keys that are tried, in order, where the caller names none."""


def split(sample: Any, key: str | None, what: str) -> tuple[Any, Any]:
    """Return the inputs and the target of a sample, or of a batch of samples.

    Parameters
    ----------
    sample
        A pair (inputs, target), or a mapping.
    key : str or None
        Of the target in a mapping, the rest of which are the inputs.
    what : str
        What messages call the data.

    Raises
    ------
    InvalidDataError
        If it is neither, or there is no such key, or nothing but the target.
    """
    if isinstance(sample, Mapping):
        return _split_mapping(dict(sample), key, what)
    if key is not None:
        raise InvalidDataError(
            f"y={key!r} names the target in samples that are dicts, the {what} samples are "
            f"{_kind(sample)}: leave y out"
        )
    if isinstance(sample, tuple | list) and len(sample) == 2:
        return sample[0], sample[1]
    raise InvalidDataError(
        f"a {what} sample is {_kind(sample)}: it must be a pair (inputs, target), where several inputs are a "
        "tuple or dict of their own, or a dict"
    )


def _split_mapping(sample: dict[Any, Any], key: str | None, what: str) -> tuple[Any, Any]:
    if key is None:
        key = next((each for each in KEYS if each in sample), None)
        if key is None:
            raise InvalidDataError(
                f"the {what} samples hold {list(sample)}, none of which is called {', '.join(KEYS)}: name the "
                "target, as in fit(dataset, 'key')"
            )
    if key not in sample:
        raise InvalidDataError(f"the {what} samples hold {list(sample)}, no {key!r}")
    inputs = {name: part for name, part in sample.items() if name != key}
    if not inputs:
        raise InvalidDataError(f"the {what} samples hold nothing but their target {key!r}")
    return inputs, sample[key]


def _kind(sample: Any) -> str:
    if isinstance(sample, tuple | list):
        return f"a {type(sample).__name__} of {len(sample)}"
    return described(sample)
