"""The game: what coalitions of samples gain, each trained on once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataval.retraining.again import Coalitions

__all__ = ["FloatArray", "Game", "Mask", "all_coalitions"]

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Game:
    """Training samples as players: a coalition gains the utility of what is trained on it alone.

    Parameters
    ----------
    coalitions : Coalitions
        What trains, and judges.
    n_samples : int
        Number of players N.
    progress : bool or None
        Show progress bars.
    """

    def __init__(self, coalitions: Coalitions, n_samples: int, progress: bool | None = None) -> None:
        self.n_samples, self.progress = n_samples, progress
        self._coalitions = coalitions
        self._sign = 1.0 if coalitions.greater_is_better else -1.0
        self._known: dict[bytes, FloatArray] = {}

    @property
    def n_trained(self) -> int:
        """How many different coalitions were trained on so far."""
        return len(self._known)

    def gains(self, kept: Mask) -> FloatArray:
        """Return what coalitions ``(M, N)`` gain, in the unit of the utility: greater is better.

        Returns
        -------
        ndarray of float64, shape (M, Q + 1)
            The utility, or minus the loss, of each of Q questions, averaged over training seeds; then the mean
            over the questions.
        """
        names = [row.tobytes() for row in np.packbits(kept, axis=1)]
        new = {name: i for i, name in reversed([*enumerate(names)]) if name not in self._known}
        if new:
            chosen = sorted(new.values())
            found = self._sign * self._coalitions.judge(kept[chosen]).mean(axis=0)
            found = np.column_stack([found, found.mean(axis=1)])
            self._known |= {names[i]: row for i, row in zip(chosen, found, strict=True)}
        return np.stack([self._known[name] for name in names])

    def utility(self, *, of_all: bool) -> float:
        """Return the utility, in its own sign, of what is trained on all samples, or on none."""
        return self._sign * float(self.gains(np.full((1, self.n_samples), of_all))[0, -1])


def all_coalitions(n: int) -> Mask:
    """Return all coalitions of N samples, shape ``(2**N, N)``; the empty one is the first."""
    return np.asarray((np.arange(2**n)[:, None] >> np.arange(n)) & 1, dtype=bool)
