"""How to average over runs in which random samples have weight 0: options, what they take, and advice."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import flag, folder_path, process_count, real_number, whole_number
from dataval.memory_plan import Need
from dataval.methods.average import Average
from dataval.methods.removed_shares import RemovedShares, check_shares, draw_masks
from dataval.metrics.fidelity import LinearDatamodelingScore
from dataval.training.masked_runs import MaskedRuns
from dataval.training.replay import Replay

__all__ = ["Averaging", "advise_averaging", "averaging_needs", "check_averaging", "deciding"]

FloatArray = NDArray[np.float64]

_NOT_DECIDING = {  # what one run answers
    *("learner", "chunk_size", "projection", "probes", "seed"),
    *("removed", "n_runs", "include_plain", "tolerance", "n_jobs", "folder"),
}
_COPIES = 4  # of the values: two sums, those of the plain run and those of the run in hand
_FEWEST = 4  # runs before a standard error is worth stopping for
_LARGE, _GOOD = 0.05, 0.9  # a share at which one run may not do, and the score that should be possible
_MANY = 10  # subsets, of fewer of which a bootstrap's interval says nothing
_SMALL = 0.5  # shares below it are taken for a scale, others for a question of the Shapley family


@dataclass(frozen=True)
class Averaging:
    """How to average over masked runs.

    Attributes
    ----------
    removed : float, "uniform", or sequence of float
    n_runs : int
        The most masked runs.
    include_plain : bool
    tolerance : float or None
        Stop when the relative error is as small.
    n_jobs : int or None
    folder : Path or None
    seed : int
    """

    removed: RemovedShares
    n_runs: int
    include_plain: bool
    tolerance: float | None
    n_jobs: int | None
    folder: Path | None
    seed: int

    @classmethod
    def of(cls, method: Any) -> Averaging:
        """Read a method's parameters.

        Raises
        ------
        TypeError, ValueError, FileExistsError
            If one makes no sense.
        """
        shares = check_shares(method.removed)
        is_small = shares is not None and max(shares) < _SMALL
        include, tolerance = method.include_plain, method.tolerance
        return cls(
            removed=method.removed,
            n_runs=whole_number("n_runs", method.n_runs, minimum=1),
            include_plain=is_small if include is None else flag("include_plain", include),
            tolerance=None if tolerance is None else real_number("tolerance", tolerance, minimum=0),
            n_jobs=process_count("n_jobs", method.n_jobs),
            folder=folder_path("folder", method.folder),
            seed=whole_number("seed", method.seed, minimum=0),
        )

    def masks(self, weights: FloatArray) -> NDArray[np.bool_]:
        """Return the samples whose weights are 0 in each run, shape ``(n_runs, N)``."""
        return draw_masks(self.removed, weights, self.n_runs, self.seed)

    def is_done(self, average: Average) -> bool:
        """Whether no more runs are needed."""
        if average.n_runs >= self.n_runs:
            return True
        is_judged = self.tolerance is not None and average.n_runs >= _FEWEST
        return is_judged and average.relative_error() <= float(self.tolerance or 0)


def check_averaging(method: Any, weights: FloatArray) -> None:
    """Raise, before any training, if a method's parameters make no sense for samples of these weights ``(N,)``.

    Raises
    ------
    TypeError, ValueError, FileExistsError
        As `Averaging.of`; if a share is none of the samples or all, or there is a projection.
    """
    if method.removed is None:
        given = [name for name in ("include_plain", "tolerance", "folder") if getattr(method, name) is not None]
        if given:
            raise ValueError(f"{given[0]} is of averages over masked runs: give removed=..., or leave it out")
        return
    if method.projection is not None:
        raise ValueError(
            "projection answers from probes of one run: leave it out to average over masked runs, or removed"
        )
    Averaging.of(method).masks(weights)


def averaging_needs(method: Any, plain: Replay, runs: MaskedRuns, n_questions: int) -> list[Need]:
    """Return what averaging takes of memory beside sweeps through one run."""
    n_bytes = _COPIES * 8 * n_questions * plain.run.n_samples
    cure = "ask about fewer validation samples at a time, or score them together"
    sums = Need("sums of the values of masked runs", n_bytes, cure)
    return [sums, *runs.needs(Averaging.of(method).n_runs)]


def deciding(method: Any) -> list[tuple[str, Any]]:
    """Return the parameters of a method, by name, that decide what one run answers."""
    return [(k, value) for k, value in method.get_params(deep=False).items() if k not in _NOT_DECIDING]


def advise_averaging(found: LinearDatamodelingScore) -> None:
    """Warn where values of one run surely fall short of predicting what removing a large share does."""
    low, high = found.confidence_interval
    if found.n_subsets >= _MANY and found.fraction >= _LARGE and high < _GOOD:
        warnings.warn(
            f"values of one run answer for small changes: what removing {found.fraction:.0%} does they predict "
            f"with a score of {found.score:.2f} [{low:.2f}, {high:.2f}]. HyDRA(learner, hessian=True, "
            f"removed={found.fraction:.2g}, n_runs=4) averages over runs without as many",
            UserWarning,
            stacklevel=6,
        )
