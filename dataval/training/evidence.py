"""What a recording knows of each update besides its plan, so that a replay can be held against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

__all__ = ["EVIDENCE", "Evidence", "digest_of", "norm_of", "projections_of"]

_N_PROJECTIONS = 3
_BLOCK = 2**14  # signs that repeat, so that they take no memory beside a large model's
EVIDENCE = ("projections", "deviations")


@dataclass
class Evidence:
    """What tells a replay of a loop that somebody else ran from the loop.

    Attributes
    ----------
    projections : ndarray of float64, shape (T + 1, 3)
        Inner products of the parameters before every update, and after the last, with fixed random signs
        (`projections_of`).
    deviations : ndarray of float64, shape (T,)
        By how much each update that was done again missed what was recorded, relative to its length; NaN for
        those that were not done again yet. More than rounding is refused.
    notes : tuple of str
        What of the loop can't be replayed, in words; empty where nothing is known to stand in the way.
    """

    projections: NDArray[np.float64]
    deviations: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @property
    def is_proved(self) -> NDArray[np.bool_]:
        """Which updates were done again and gave the parameters that were recorded, ``(T,)``."""
        return ~np.isnan(self.deviations)

    @property
    def grade(self) -> Literal["bit-exact", "rounding", "states"]:
        """How well the loop can be done again, as far as it was tried: for "states" alone, not at all."""
        if self.notes:
            return "states"
        return "bit-exact" if (self.deviations[self.is_proved] == 0).all() else "rounding"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in EVIDENCE}

    def until(self, n_steps: int) -> Self:
        """Return that of the first updates alone."""
        return replace(
            self,
            projections=self.projections[: n_steps + 1],
            deviations=self.deviations[:n_steps].copy(),
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], notes: tuple[str, ...]) -> Self | None:
        """Return the evidence among some arrays, or None if there is none."""
        if not set(EVIDENCE) <= arrays.keys():
            return None
        return cls(**{name: arrays[name] for name in EVIDENCE}, notes=notes)


def digest_of(*arrays: NDArray[Any]) -> int:
    """Return a number that tells the content of arrays from any other; integers of any width are alike."""
    found = 0
    for given in arrays:
        array = given.astype(np.int64, copy=False) if given.dtype.kind in "iub" else given
        found = crc32(repr((array.shape, array.dtype.str)).encode(), found)
        found = crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, found)
    return found


def norm_of(array: NDArray[Any]) -> float:
    """Return the Euclidean norm, in double precision: squares of single precision overflow early."""
    return float(np.linalg.norm(array.astype(np.float64, copy=False)))


def projections_of(parameters: NDArray[Any]) -> NDArray[np.float64]:
    """Return inner products of parameters ``(P,)`` with random signs that repeat in blocks, shape ``(3,)``."""
    n_whole = len(parameters) // _BLOCK * _BLOCK
    found = np.zeros(_BLOCK)
    if n_whole:
        found += parameters[:n_whole].reshape(-1, _BLOCK).sum(axis=0, dtype=np.float64)
    found[: len(parameters) - n_whole] += parameters[n_whole:]
    return found @ _signs()


@cache
def _signs() -> NDArray[np.float64]:
    return np.random.default_rng(0).choice((-1.0, 1.0), (_BLOCK, _N_PROJECTIONS))
