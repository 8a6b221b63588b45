"""Labels as a report shows them, and as the decisions that come back name them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described

__all__ = ["Labels", "are_amounts", "as_labels", "column", "digest", "label_text"]

_MOST_WHOLE = 100


@dataclass(frozen=True, eq=False)
class Labels:
    """One label a sample.

    Attributes
    ----------
    texts : tuple of str, length N
        Every sample's label, as `label_text` writes it.
    classes : tuple of str
        The different ones, sorted as they are in y; empty for amounts.
    names : tuple of str
        What people call the classes.
    """

    texts: tuple[str, ...]
    classes: tuple[str, ...]
    names: tuple[str, ...]

    def codes(self, texts: Sequence[str], what: str) -> NDArray[np.int32]:
        """Return the positions of labels among the classes."""
        position = {each: i for i, each in enumerate(self.classes)}
        unknown = sorted({text for text in texts if text not in position})
        if unknown:
            raise ValueError(
                f"{what} holds {unknown[0]!r}, which is no class: y and class_names name {len(self.classes)}"
            )
        return np.array([position[text] for text in texts], dtype=np.int32)


def as_labels(y: Any, class_names: Any, n: int) -> Labels:
    """Check labels, and name their classes."""
    given = column("y", y, n)
    texts = tuple(label_text(each) for each in given.tolist())
    if class_names is None and are_amounts(given):
        return Labels(texts, (), ())
    named = _named(class_names, given)
    present = {label_text(each): None for each in np.unique(_sortable(given)).tolist()}
    order = list(dict.fromkeys([*named, *present]))
    return Labels(texts, tuple(order), tuple(named.get(text, text) for text in order))


def column(name: str, entries: Any, n: int | None = None) -> NDArray[Any]:
    """Return one entry a sample as an array of one axis.

    Raises
    ------
    ValueError
        If there isn't one for each of `n` samples, or one is missing.
    """
    if entries is None or isinstance(entries, str | bytes | Mapping):
        raise TypeError(f"{name} must hold one entry a sample, got {described(entries)}")
    try:
        given = np.asarray(entries)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} can't be read as one entry a sample: {error}") from error
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1 or given.dtype.kind not in "biufUSO":
        raise ValueError(
            f"{name} must be one entry a sample, shape (N,), got an array of {given.dtype}, shape {given.shape}"
        )
    if n is not None and len(given) != n:
        raise ValueError(f"{name} must hold one entry for each of {n} samples, got {len(given)}")
    if given.dtype.kind == "O":
        odd = [i for i, each in enumerate(given.tolist()) if not isinstance(each, str | int | float)]
        if odd:
            raise ValueError(
                f"{name} holds {described(given[odd[0]])} at {odd[0]}: texts or numbers are needed"
            )
    missing = [i for i, each in enumerate(given.tolist()) if isinstance(each, float) and not np.isfinite(each)]
    if missing:
        raise ValueError(f"{name} is missing or infinite at {missing[0]} (and {len(missing) - 1} others)")
    return given


def are_amounts(given: NDArray[Any]) -> bool:
    """Return whether labels are numbers to predict: floats that are not all whole, or of many values."""
    if given.dtype.kind != "f":
        return False
    return bool((given != np.round(given)).any()) or len(np.unique(given)) > _MOST_WHOLE


def label_text(label: Any) -> str:
    """Return a label as text: whole numbers without a point, others so that they can be read back exactly."""
    if isinstance(label, bytes):
        return label.decode("utf-8", "replace")
    if isinstance(label, float):
        return str(int(label)) if label.is_integer() and abs(label) < 2**53 else repr(label)
    return str(label)


def digest(texts: Sequence[str]) -> str:
    """Return what tells these labels from others."""
    return hashlib.blake2b(json.dumps(list(texts)).encode(), digest_size=16).hexdigest()


def _sortable(given: NDArray[Any]) -> NDArray[Any]:
    """Return labels that can be compared with each other."""
    kinds = {isinstance(each, str) for each in given.tolist()}
    return given.astype(str) if given.dtype.kind == "O" and len(kinds) > 1 else given


def _named(class_names: Any, given: NDArray[Any]) -> dict[str, str]:
    """Return what people call each label: by label, or in the order of 0, 1, 2, ... or of the sorted labels."""
    if class_names is None:
        return {}
    if isinstance(class_names, Mapping):
        return {label_text(_plain(label)): str(name) for label, name in class_names.items()}
    names = column("class_names", class_names).tolist()
    texts = [str(name) for name in names]
    if len(set(texts)) < len(texts):
        raise ValueError("class_names holds a name twice")
    if given.dtype.kind in "US" or (given.dtype.kind == "O" and isinstance(given[0], str)):
        return {text: text for text in texts}
    if given.dtype.kind == "b":
        raise ValueError("class_names of labels that are True or False must be a dict of them")
    highest = float(np.max(given))
    if np.min(given) < 0 or highest >= len(texts):
        raise ValueError(f"class_names holds {len(texts)} names, but y goes up to {highest:g}")
    return {str(i): text for i, text in enumerate(texts)}


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
