"""How good a model gets from how many samples: whether more of them would help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.backend import ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import (
    described,
    folder_path,
    process_count,
    real_number,
    share,
    whole_number,
    whole_numbers,
)
from dataval.methods.matching import as_validation
from dataval.metrics.statistics import Interval, mean_interval
from dataval.objectives.utility import check_utility
from dataval.objectives.validation import check_objective
from dataval.retraining.again import Mask, Retraining, RetrainingOptions
from dataval.retraining.estimators import EstimatorRetraining, is_estimator
from dataval.retraining.learners import LearnerRetraining
from dataval.training.learner import Learner

__all__ = ["LearningCurve", "learning_curve"]

_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)


class LearningCurve(BaseModel):
    """A model's utility after training on growing numbers of random samples.

    Attributes
    ----------
    utility : str
        What the models were judged by.
    greater_is_better : bool
        False for a loss.
    confidence : float
        Level of the intervals.
    sizes : tuple of int
        Numbers of samples, ascending.
    seed : int
        Drew the samples.
    found : tuple of R tuples of float
        The utility at each size, for each of R random orders of the samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    utility: str
    greater_is_better: bool
    confidence: float
    sizes: tuple[int, ...]
    seed: int
    found: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> tuple[Interval, ...]:
        """The utility at each size, over the random orders."""
        return tuple(mean_interval(column, self.confidence) for column in np.transpose(self.found))

    @property
    def gain(self) -> tuple[Interval, ...]:
        """By how much each size is better than the one before, paired by order; positive where it helps."""
        steps = np.diff(self.found, axis=1) * (1 if self.greater_is_better else -1)
        return tuple(mean_interval(column, self.confidence) for column in steps.T)

    def samples_for(self, utility: float) -> float | None:
        """Return how many samples reach a utility on average, between the sizes by a straight line.

        Parameters
        ----------
        utility : float
            What is to be reached: from below where greater is better, from above for a loss.

        Returns
        -------
        float or None
            None where no size reaches it: more samples than there are, or another model.
        """
        sign = 1 if self.greater_is_better else -1
        asked = sign * real_number("utility", utility)
        means = sign * np.mean(self.found, axis=0)
        reached = np.flatnonzero(means >= asked)
        if not len(reached):
            return None
        last = int(reached[0])
        if last == 0:
            return float(self.sizes[0])
        between = (asked - means[last - 1]) / (means[last] - means[last - 1])
        return float(self.sizes[last - 1] + between * (self.sizes[last] - self.sizes[last - 1]))

    def __str__(self) -> str:
        header = f"{self.utility} after training on random samples, {len(self.found)} orders"
        rows = zip(self.sizes, self.mean, strict=True)
        return "\n".join([header, f"{'samples':>8}  {self.utility}", *(f"{n:>8}  {each}" for n, each in rows)])


@framework_settings()
def learning_curve(
    learner: Learner | Any,
    X: Any,
    y: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    *,
    sizes: Sequence[int] | None = None,
    n_repeats: int = 5,
    utility: str | Callable[..., float] = "accuracy",
    objective: ObjectiveFunction | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    n_jobs: int | None = None,
    folder: str | Path | None = None,
) -> LearningCurve:
    """Train on growing numbers of random samples, to see how many are needed.

    The samples are really left out: a learner draws its batches anew from what is kept, from the same
    initialisation, and does fewer updates. Each of the random orders gives one model a size, of its first
    samples.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        What is trained. An estimator that gives no model from so few samples counts as the prior prediction, as
        for `DataShapley`.
    X, y
        Training samples: arrays, or for a learner a data set in place of X, see `Learner.train`.
    X_val, y_val
        Held-out samples.
    sizes : sequence of int, optional
        Numbers of samples, each enough for a batch; by default from a fiftieth to all, eight of them.
    n_repeats : int, default 5
        Random orders of the samples.
    utility : str or callable, default "accuracy"
        As for `LeaveOneOut`.
    objective : callable, optional
        What ``utility="loss"`` averages. Not for estimators.
    seed : int, default 0
        Draws the orders.
    confidence : float, default 0.95
        Level of the intervals over the orders.
    n_jobs : int, optional
        Processes that train in parallel, -1 for as many as there are cores; by default one, or what
        `joblib.parallel_config` says, such as all workers of a Dask cluster.
    folder : path, optional
        Where finished trainings are kept and looked up. Not for estimators.

    Returns
    -------
    LearningCurve
        ``print`` it, draw it with `dataval.plotting.LearningCurveDisplay`, or ask it for ``samples_for(0.9)``.

    Raises
    ------
    InvalidDataError, InvalidModelError
        As `Learner.train`; also if fewer samples are left than a batch needs.
    ValueError
        If sizes, utility or confidence make no sense.

    Notes
    -----
    The interval is Student's over the orders. Orders share samples, all of them at the largest size: there it
    says nothing of other samples.

    Examples
    --------
    >>> curve = dv.evaluation.learning_curve(learner, X, y, X_test, y_test, sizes=[100, 300, 1000])
    >>> curve.samples_for(0.9)
    """
    whole_number("n_repeats", n_repeats, minimum=1)
    level = share("confidence", confidence)
    if not isinstance(utility, str) and not callable(utility):
        raise TypeError(f"utility must be a name or a function, got {described(utility)}")
    check_objective(objective)
    options = RetrainingOptions(
        utility=utility,
        objective=objective,
        mode="removal",
        n_jobs=process_count("n_jobs", n_jobs),
        folder=folder_path("folder", folder),
    )
    whole_number("seed", seed, minimum=0)
    retraining = _prepared(learner, X, y, utility)
    chosen = _checked_sizes(sizes, retraining.n_samples)
    kept = _nested(retraining.n_samples, chosen, n_repeats, seed)
    retraining.check(~kept, options)
    judged = retraining.coalitions(retraining.validation(X_val, y_val), options)
    found = judged.judge(kept).reshape(n_repeats, len(chosen))
    name = utility if isinstance(utility, str) else getattr(utility, "__qualname__", type(utility).__qualname__)
    return LearningCurve(
        utility=name,
        greater_is_better=judged.greater_is_better,
        confidence=level,
        sizes=chosen,
        seed=seed,
        found=tuple(map(tuple, found.tolist())),
    )


def _prepared(learner: Any, X: Any, y: Any, utility: str | Callable[..., float]) -> Retraining:
    if is_estimator(learner):
        return EstimatorRetraining(learner, X, y)
    if not isinstance(learner, Learner):
        raise TypeError(
            "learner must be a dataval.Learner, or a classifier or regressor of scikit-learn, got "
            f"{described(learner)}"
        )
    check_utility(utility)
    return LearnerRetraining(learner, learner.prepare(X, y), as_validation)


def _checked_sizes(sizes: Sequence[int] | None, n: int) -> tuple[int, ...]:
    if sizes is None:
        return tuple(sorted({max(1, round(part * n)) for part in _SHARES}))
    return tuple(sorted({*whole_numbers("sizes", sizes, minimum=1, maximum=n)}))


def _nested(n: int, sizes: tuple[int, ...], n_repeats: int, seed: int) -> Mask:
    """Return the coalitions of the first samples of random orders, ``(n_repeats * len(sizes), N)``."""
    rng = np.random.default_rng([seed, 9])
    ranks: npt.NDArray[np.int64] = np.stack([rng.permutation(n) for _ in range(n_repeats)])
    return np.asarray(ranks[:, None, :] < np.array(sizes)[:, None]).reshape(-1, n)
