"""Estimates of values that say how far off they are, and when there were samples enough."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataval.methods.shapley.game import FloatArray
from dataval.progress import progress_bar

__all__ = ["Estimate", "Sampler", "sample_until"]

_ROUND = 256  # trainings between two looks at the error, at least
_GROWTH = 4  # and a quarter of what was done, so that looking costs little


@dataclass(frozen=True)
class Estimate:
    """Values with their errors.

    Attributes
    ----------
    values : ndarray of float64, shape (N, Q + 1)
        For each question, and for their mean.
    error : ndarray of float64, shape (N,)
        Standard error of the last column; 0 where it is exact, NaN where nothing is known.
    notes : dict
        What else there is to say.
    """

    values: FloatArray
    error: FloatArray
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def relative_error(self) -> float:
        """Length of the errors' vector over that of the values'; infinite where it is not known."""
        error, length = np.linalg.norm(self.error), np.linalg.norm(self.values[:, -1])
        if not error:
            return 0.0
        return float(error / length) if length and np.isfinite(error) else float("inf")


class Sampler(ABC):
    """What draws more and more, and knows how good its estimate is."""

    @property
    @abstractmethod
    def unit_cost(self) -> int:
        """How many trainings a draw takes."""

    @abstractmethod
    def draw(self, n: int) -> None:
        """Make n more draws; the first draws are the same however many follow."""

    @abstractmethod
    def estimate(self, *, final: bool) -> Estimate:
        """Return the estimate; only the last column has to be there where it is not final."""


def sample_until(
    sampler: Sampler, most: int, tolerance: float | None, fewest: int, show: bool | None
) -> Estimate:
    """Draw until the relative error is small enough, or until there were so many draws.

    Parameters
    ----------
    sampler : Sampler
        What draws.
    most : int
        Number of draws at which to end.
    tolerance : float or None
        Relative error at which to end, see `Estimate`.
    fewest : int
        Number of draws before which no standard error is believed.
    show : bool or None
        Show a progress bar.
    """
    done, first = 0, -(-_ROUND // sampler.unit_cost)
    with progress_bar("sampling", most, show) as bar:
        while done < most:
            size = min(most - done, max(first, done // _GROWTH))
            sampler.draw(size)
            done += size
            bar.update(size)
            if tolerance is None or done < min(fewest, most):
                continue
            if sampler.estimate(final=False).relative_error <= tolerance:
                break
    found = sampler.estimate(final=True)
    converged = tolerance is not None and found.relative_error <= tolerance
    return Estimate(found.values, found.error, {"n_draws": done, "converged": converged} | found.notes)
