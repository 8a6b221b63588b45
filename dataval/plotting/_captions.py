"""The words and numbers of captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["named", "number", "shorten"]


def named(labels: npt.ArrayLike, chosen: npt.NDArray[np.intp], class_names: Sequence[str] | None) -> list[str]:
    """Return the names of chosen labels.

    Raises
    ------
    ValueError
        If names are given and one of the labels has none.
    """
    picked = np.asarray(labels)[chosen].tolist()
    if class_names is None:
        return [str(label) for label in picked]
    if unknown := [label for label in picked if label not in range(len(class_names))]:
        raise ValueError(
            f"label {unknown[0]!r} has no name: class_names holds {len(class_names)} names, for "
            f"labels from 0 to {len(class_names) - 1}."
        )
    return [class_names[int(label)] for label in picked]


def shorten(name: str, longest: int = 14) -> str:
    """Return a name, cut where it is too long for a caption."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def number(value: float) -> str:
    """Return a value with two digits and a true minus sign."""
    return f"{value:#.2g}".rstrip(".").replace("-", "\N{MINUS SIGN}")
