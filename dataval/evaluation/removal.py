"""What happens to a model as samples are removed, or added, in the order of their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from dataval.backend.registry import framework_settings
from dataval.checks import described, folder_path, one_of, process_count, real_number, seed_list, share
from dataval.data import Samples, as_data
from dataval.metrics.statistics import Interval, as_array, check_values, mean_interval
from dataval.objectives.utility import Utility, UtilityLike, make_utility
from dataval.retraining.removals import check_removals
from dataval.retraining.retrain import retrain_without
from dataval.retraining.subsets import utility_key
from dataval.training.config import Training
from dataval.training.learner import Learner

if TYPE_CHECKING:
    from dataval.training.replay import Replay

__all__ = ["RemovalCurve", "addition_curve", "removal_curve"]

FloatArray = npt.NDArray[np.float64]
Kind = Literal["removal", "addition"]
Order = Literal["lowest", "highest"]

_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4)


class RemovalCurve(BaseModel):
    """A model's utility after training without, or only on, growing shares of the samples.

    Attributes
    ----------
    kind : {"removal", "addition"}
        Whether the shares were removed, or alone were trained on.
    order : {"lowest", "highest"}
        Which values went first.
    utility : str
        What the models were judged by.
    greater_is_better : bool
        False for a loss.
    confidence : float
        Level of the intervals.
    shares : tuple of float
        Shares of the samples removed or added; a removal curve begins with 0, training on everything.
    seeds : tuple of int
        The training seeds, S of them.
    by_value, at_random : tuple of S tuples of float
        The utility at each share, for each seed: in the order of the values, and in a random order drawn from
        the seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    order: Order
    utility: str
    greater_is_better: bool
    confidence: float
    shares: tuple[float, ...]
    seeds: tuple[int, ...]
    by_value: tuple[tuple[float, ...], ...]
    at_random: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> tuple[Interval, ...]:
        """The utility in the order of the values at each share, over the seeds."""
        return tuple(mean_interval(column, self.confidence) for column in np.transpose(self.by_value))

    @property
    def random_mean(self) -> tuple[Interval, ...]:
        """The utility in a random order at each share, over the seeds."""
        return tuple(mean_interval(column, self.confidence) for column in np.transpose(self.at_random))

    @property
    def difference(self) -> tuple[Interval, ...]:
        """The utility in the order of the values minus that in a random order, paired by seed."""
        pairs = np.subtract(self.by_value, self.at_random)
        return tuple(mean_interval(column, self.confidence) for column in pairs.T)

    @property
    def gain(self) -> tuple[Interval, ...]:
        """The utility in the order of the values minus that at the first share, paired by seed.

        For a removal curve this is the difference to training on everything.
        """
        pairs = np.asarray(self.by_value) - np.asarray(self.by_value)[:, :1]
        return tuple(mean_interval(column, self.confidence) for column in pairs.T)

    @property
    def area_between(self) -> Interval:
        """Mean height of the area between both curves, in the utility's unit, by the trapezoid rule.

        Positive where the order of the values gives the higher utility, whether greater is better or not.
        """
        pairs = np.subtract(self.by_value, self.at_random)
        width = self.shares[-1] - self.shares[0]
        areas = np.trapezoid(pairs, self.shares, axis=1) / width if width else pairs[:, 0]
        return mean_interval(areas, self.confidence)

    def __str__(self) -> str:
        done = "removed" if self.kind == "removal" else "trained on"
        header = f"{self.utility} with the {self.order} values {done}, {len(self.seeds)} seeds"
        rows = zip(self.shares, self.mean, self.random_mean, strict=True)
        lines = [f"{share:>7.1%}  {value!s:<26}  {random}" for share, value, random in rows]
        title = f"{'share':>7}  {'by value':<26}  at random"
        return "\n".join([header, title, *lines, f"area between: {self.area_between}"])


@framework_settings()
def removal_curve(
    values: npt.ArrayLike,
    learner: Learner,
    X: Any,
    y: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    *,
    shares: Sequence[float] = _SHARES,
    order: Order = "lowest",
    utility: UtilityLike = "accuracy",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    confidence: float = 0.95,
    n_jobs: int | None = None,
    folder: str | Path | None = None,
) -> RemovalCurve:
    """Train again and again without a growing share of the samples, in the order of their values.

    The samples are really left out: each run draws its batches anew from what is kept. Beside each run in the
    order of the values stands one that leaves out as many samples at random.

    Parameters
    ----------
    values : array-like of float, shape (N,) or (S, N)
        Higher helps; one row a seed if there are several. Of any library. Ties are broken at random.
    learner : Learner
        What is trained, under each of the seeds.
    X, y
        Training samples: arrays, or a data set in place of X, see `Learner.train`.
    X_val, y_val
        Held-out samples. If values were found with the same ones, the curve flatters them: use others.
    shares : sequence of float
        Shares of the samples to remove, in (0, 1).
    order : {"lowest", "highest"}, default "lowest"
        Which values go first. Without the lowest a model should get better or stay as it is, without the
        highest it should get worse faster than at random.
    utility : str or callable, default "accuracy"
        ``"loss"``, ``"accuracy"``, the name of a scikit-learn scorer, or a function (outputs, targets) ->
        number on NumPy arrays.
    seeds : sequence of int
        Training seeds, which also draw the random orders; ``[3]`` for the one seed 3.
    confidence : float, default 0.95
        Level of the intervals over the seeds.
    n_jobs : int, optional
        Processes that train in parallel; by default one, or what `joblib.parallel_config` says, such as all
        workers of a Dask cluster.
    folder : path, optional
        Where finished trainings are kept and looked up.

    Returns
    -------
    RemovalCurve
        ``print`` it, or draw it with `dataval.plotting.RemovalCurveDisplay`.

    Raises
    ------
    InvalidDataError, InvalidModelError
        As `Learner.train`; also if fewer samples are left than a batch needs.
    ValueError
        If values, shares, seeds, order or confidence make no sense.

    Notes
    -----
    Without a share f of the samples there are 1 - f times as many updates, in both orders. The interval is
    Student's over the seeds: it speaks of other seeds on the same data.

    The third experiment of HyDRA's paper, keeping the top share of a heavily mislabelled set, is this curve at
    one share: ``removal_curve(..., shares=[0.5]).gain`` says what is won over training on everything.

    References
    ----------
    Ghorbani & Zou (2019). Data Shapley: Equitable valuation of data for machine learning. ICML.

    Examples
    --------
    >>> curve = dv.evaluation.removal_curve(values, learner, X, y, X_test, y_test)
    >>> print(curve.area_between)
    """
    return _train_again(
        learner,
        _Order.of("removal", order, shares),
        values,
        (X, y, X_val, y_val),
        utility=utility,
        seeds=seeds,
        confidence=confidence,
        n_jobs=n_jobs,
        folder=folder,
    )


@framework_settings()
def addition_curve(
    values: npt.ArrayLike,
    learner: Learner,
    X: Any,
    y: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    *,
    shares: Sequence[float] = _SHARES,
    order: Order = "highest",
    utility: UtilityLike = "accuracy",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    confidence: float = 0.95,
    n_jobs: int | None = None,
    folder: str | Path | None = None,
) -> RemovalCurve:
    """Train again and again on nothing but a growing share of the samples, in the order of their values.

    Parameters
    ----------
    values, learner, X, y, X_val, y_val, utility, seeds, confidence, n_jobs, folder
        As for `removal_curve`.
    shares : sequence of float
        Shares of the samples to train on, in (0, 1]; each must hold a batch.
    order : {"lowest", "highest"}, default "highest"
        Which values come first. With the highest a model should get better faster than at random.

    Returns
    -------
    RemovalCurve

    Raises
    ------
    InvalidDataError, InvalidModelError, ValueError
        As `removal_curve`.
    """
    return _train_again(
        learner,
        _Order.of("addition", order, shares),
        values,
        (X, y, X_val, y_val),
        utility=utility,
        seeds=seeds,
        confidence=confidence,
        n_jobs=n_jobs,
        folder=folder,
    )


@dataclass(frozen=True)
class _Order:
    """What is to be removed, or trained on alone, and in which order."""

    kind: Kind
    order: Order
    shares: tuple[float, ...]

    @classmethod
    def of(cls, kind: Kind, order: Order, shares: Sequence[float]) -> _Order:
        """Check the arguments of a curve."""
        one_of("order", order, ("lowest", "highest"))
        chosen = _checked_shares(shares, 1.0 if kind == "addition" else 1.0 - 1e-12)
        return cls(kind, order, (0.0, *chosen) if kind == "removal" else chosen)

    def masks(self, values: FloatArray, seed: int) -> npt.NDArray[np.bool_]:
        """Return which samples each run is without: first in the order of the values, then at random."""
        return np.stack(list(self._masks(values, seed)))

    def _masks(self, values: FloatArray, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
        """Yield which samples each run is without: first in the order of the values, then at random."""
        rng = np.random.default_rng([seed, 4])
        n, shuffled = len(values), rng.permutation(len(values))
        ascending = shuffled[np.argsort(values[shuffled], kind="stable")]
        ordered = ascending if self.order == "lowest" else ascending[::-1]
        for first in (ordered, rng.permutation(n)):
            for part in self.shares:
                chosen = np.zeros(n, dtype=bool)
                chosen[first[: round(part * n)]] = True
                yield chosen if self.kind == "removal" else ~chosen


def _checked_shares(shares: Sequence[float], top: float) -> tuple[float, ...]:
    if isinstance(shares, str) or np.ndim(shares) != 1 or not len(shares):
        raise ValueError(f"shares must be a sequence of numbers between 0 and 1, got {described(shares)}")
    chosen = tuple(sorted({real_number(f"shares[{i}]", share) for i, share in enumerate(shares)}))
    if not (chosen[0] > 0 and chosen[-1] <= top):
        raise ValueError(f"shares must lie between 0 and 1, got {described(shares)}")
    return chosen


def _train_again(
    learner: Learner,
    order: _Order,
    values: npt.ArrayLike,
    samples: tuple[Any, Any, Any, Any],
    *,
    utility: UtilityLike,
    seeds: Sequence[int],
    confidence: float,
    n_jobs: int | None,
    folder: str | Path | None,
) -> RemovalCurve:
    """Train under every seed without, or only on, growing shares of the samples."""
    if not isinstance(learner, Learner):
        raise TypeError(f"learner must be a dataval.Learner, got {described(learner)}")
    chosen, level = seed_list(seeds), share("confidence", confidence)
    options = {"n_jobs": process_count("n_jobs", n_jobs), "folder": folder_path("folder", folder)}
    X, y, X_val, y_val = samples
    data, validation = as_data(X, y), as_data(X_val, y_val, "validation")
    rows = _rows(values, len(data), len(chosen))
    by_value, at_random = [], []
    for row, seed in zip(rows, chosen, strict=True):
        replay, removed = _seeded(learner, seed).prepare(*data.as_arguments()), order.masks(row, seed)
        check_removals(replay.program, removed)
        judge = make_utility(utility, replay.program.backend, validation, loss=learner.loss)
        found = _utilities(replay, removed, judge, validation, learner.progress, options)
        by_value.append(tuple(found[: len(order.shares)]))
        at_random.append(tuple(found[len(order.shares) :]))
    return RemovalCurve(
        kind=order.kind,
        order=order.order,
        utility=judge.name,
        greater_is_better=judge.greater_is_better,
        confidence=level,
        shares=order.shares,
        seeds=chosen,
        by_value=tuple(by_value),
        at_random=tuple(at_random),
    )


def _seeded(learner: Learner, seed: int) -> Learner:
    seeded = copy(learner)
    seeded.training = (learner.training or Training()).model_copy(update={"seed": seed})
    return seeded


def _utilities(
    replay: Replay,
    removed: npt.NDArray[np.bool_],
    judge: Utility,
    validation: Samples,
    progress: bool | None,
    options: dict[str, Any],
) -> list[float]:
    key = "" if options["folder"] is None else utility_key(replay, validation, judge)
    found = retrain_without(
        replay.program, replay.initial, removed, judge, key=key, progress=progress, **options
    )
    return [float(utility) for utility in found]


def _rows(values: npt.ArrayLike, n_samples: int, n_seeds: int) -> FloatArray:
    array = as_array(values)
    if array.shape not in {(n_samples,), (n_seeds, n_samples)}:
        raise ValueError(
            f"values must have shape ({n_samples},), or ({n_seeds}, {n_samples}) with one row a seed, got "
            f"{array.shape}"
        )
    check_values(array.reshape(-1))
    return np.broadcast_to(array.astype(np.float64), (n_seeds, n_samples))
