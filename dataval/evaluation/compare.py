"""Several valuation methods on the same data and the same runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataval.checks import flag, folder_path, process_count, share, whole_number
from dataval.data import Samples, as_data
from dataval.errors import ComparisonInterrupted, RunMismatchError
from dataval.evaluation.arguments import (
    GroundTruth,
    Truth,
    check_across_seeds,
    check_arrays,
    check_methods,
    check_seeds,
    check_truth,
)
from dataval.evaluation.comparison import Comparison, MethodResult, Outcome
from dataval.evaluation.memory import PeakMemory
from dataval.metrics.across_seeds import fidelity_across_seeds
from dataval.metrics.agreement import leave_one_out_agreement
from dataval.metrics.fidelity import SubsetTruth, linear_datamodeling_score
from dataval.metrics.noise_detection import noise_detection
from dataval.metrics.ranking import rank_samples
from dataval.metrics.stability import RankStability, rank_stability
from dataval.metrics.statistics import check_values
from dataval.progress import progress_bar
from dataval.retraining.subsets import retrain_subsets
from dataval.training.config import Training
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

if TYPE_CHECKING:
    from dataval.methods.base import DataValuator

__all__ = ["compare"]

FloatArray = npt.NDArray[np.float64]


def compare(
    methods: Mapping[str, DataValuator | npt.ArrayLike],
    X: Any,
    y: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    *,
    is_noisy: npt.ArrayLike | None = None,
    ground_truth: GroundTruth = None,
    seeds: Sequence[int] | None = None,
    fraction: float = 0.01,
    across_seeds: bool = False,
    n_bootstrap: int = 1000,
    n_jobs: int | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Value the same samples by several methods and judge all of them alike.

    Each learner is trained once a seed, and all methods of that learner share the run; methods of the samples
    alone need no learner. A method that fails is reported in its row, and the others go on. Values and truths
    may be partial (NaN, as of a leave-one-out of some samples): they are judged on the samples that they have,
    and the comparison says how many.

    Parameters
    ----------
    methods : mapping of str to DataValuator or array-like
        Methods by name, fitted or not; or values that another library has found, shape ``(N,)``, or
        ``(n_seeds, N)``. Methods are copied, never changed. A run that one of them was fitted with is used
        where it fits data and seed.
    X, y
        Training samples: arrays, or a data set in place of X, see `Learner.train`.
    X_val, y_val
        Validation samples.
    is_noisy : array-like of bool, shape (N,), optional
        Which training samples are noisy; every method is then judged by `noise_detection`.
    ground_truth : optional
        What values are held against:

        - an int K: K random subsets are left out and the learner retrained, for every seed
          (`retrain_subsets`, then `linear_datamodeling_score`);
        - a `SubsetTruth`, or one a seed;
        - an array ``(N,)`` or ``(n_seeds, N)``: the effect of leaving each sample out
          (`leave_one_out_agreement`);
        - a name: the values of that method are the truth, as in ``ground_truth="leave-one-out"``.
    seeds : sequence of int, optional
        Training seeds, ``[3]`` for the one seed 3; the first learner's own by default. A learner that builds
        its model also starts from another initialisation for every seed; one that was given a model starts from
        that model's parameters. A method with a parameter ``seed`` gets the same one.
    fraction : float, default 0.01
        Share of the samples that each of the K subsets removes.
    across_seeds : bool, default False
        With several seeds and subsets as the truth: judge the values of each seed also by the trainings with
        the other seeds, and the mean of the other seeds' values by its own (`fidelity_across_seeds`). All seeds
        then leave out the same K subsets, and the row "outcomes of other seeds" says how far outcomes depend on
        the seed.
    n_bootstrap : int, default 1000
        Resamples behind the intervals of noise detection.
    n_jobs : int, optional
        Processes that retrain for the ground truth; by default one, or what `joblib.parallel_config` says, such
        as all workers of a Dask cluster.
    folder : path, optional
        Where finished retrainings of the ground truth are kept and looked up.
    progress : bool, optional
        Show a progress bar; by default where standard error is a terminal.

    Returns
    -------
    Comparison
        ``print`` it, or see `Comparison.table`, `Comparison.save`.

    Raises
    ------
    InvalidDataError
        If the data can't be used.
    TypeError, ValueError
        If methods, mask, truth or seeds don't fit each other; before any training.
    ComparisonInterrupted
        On Ctrl-C; its ``comparison`` holds what was done.

    Notes
    -----
    Seconds and memory of a method don't include training the shared run. What a framework loads or compiles
    at its first use counts for the method that comes first. Memory is that of this process, without that of an
    accelerator: see `dataval.evaluation.memory.PeakMemory`.

    Examples
    --------
    >>> methods = {"HyDRA": dv.HyDRA(learner), "mean loss": dv.MeanLoss(learner)}
    >>> print(dv.compare(methods, X, y, X_val, y_val, is_noisy=is_noisy, seeds=range(3)))
    """
    data, validation = as_data(X, y), as_data(X_val, y_val, "validation")
    chosen = check_methods(methods)
    known_seeds = check_seeds(seeds, chosen)
    whole_number("n_bootstrap", n_bootstrap, minimum=0)
    if progress is not None:
        flag("progress", progress)
    options: dict[str, Any] = {
        "fraction": share("fraction", fraction),
        "n_jobs": process_count("n_jobs", n_jobs),
        "folder": folder_path("folder", folder),
    }
    check_arrays(chosen, len(data), len(known_seeds))
    if is_noisy is not None:
        rank_samples(np.zeros(len(data)), is_noisy)
    truths = check_truth(ground_truth, chosen, len(data), len(known_seeds))
    if flag("across_seeds", across_seeds):
        check_across_seeds(truths)
        options["seed"] = known_seeds[0]
    work = _Work(chosen, data, validation, known_seeds, truths, across_seeds)
    try:
        _carry_out(work, options, progress)
    except KeyboardInterrupt:
        raise ComparisonInterrupted(_judge(work, is_noisy, n_bootstrap)) from None
    return _judge(work, is_noisy, n_bootstrap)


@dataclass
class _Work:
    """What is to be done, and what was found so far: one entry a method and seed."""

    methods: Mapping[str, Any]
    data: Samples
    validation: Samples
    seeds: tuple[int, ...]
    truths: list[Truth | int]
    across_seeds: bool
    values: dict[str, FloatArray] = field(init=False)
    outcomes: dict[str, list[Outcome]] = field(init=False)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        shape = (len(self.seeds), len(self.data))
        self.values = {name: np.full(shape, np.nan) for name in self.methods}
        self.outcomes = {
            name: [Outcome(seed=seed, error="not done: interrupted") for seed in self.seeds]
            for name in self.methods
        }

    def is_valued(self, name: str, position: int) -> bool:
        return self.outcomes[name][position].error is None


@dataclass
class _Trained:
    """A learner under one seed, with its run, or with what kept it from being trained; or no learner."""

    learner: Learner | None
    run: TrainingRun | None = None
    seconds: float | None = None
    error: str | None = None


def _carry_out(work: _Work, options: dict[str, Any], progress: bool | None) -> None:
    with progress_bar("comparing", len(work.seeds) * len(work.methods), progress) as bar:
        for position, seed in enumerate(work.seeds):
            trained: dict[int, _Trained] = {}
            for name, method in work.methods.items():
                bar.set_postfix_str(f"{name}, seed {seed}")
                if isinstance(method, np.ndarray):
                    work.values[name][position] = np.broadcast_to(method, work.values[name].shape)[position]
                    work.outcomes[name][position] = Outcome(seed=seed)
                else:
                    if id(method.learner) not in trained:
                        trained[id(method.learner)] = _train(work, method.learner, seed)
                    _value(work, name, position, trained[id(method.learner)])
                bar.update()
            if isinstance(work.truths[position], int):
                only = next(each for each in trained.values() if each.learner is not None)
                _find_truth(work, position, only, options)


def _train(work: _Work, learner: Learner | None, seed: int) -> _Trained:
    """Train a learner under a seed, or take a run that one of its methods was fitted with."""
    if learner is None:
        return _Trained(None)
    seeded = copy(learner)
    seeded.training = (learner.training or Training()).model_copy(update={"seed": seed})
    result = _Trained(seeded)
    X, y = work.data.as_arguments()
    for method in work.methods.values():
        run = getattr(method, "run_", None)
        if getattr(method, "learner", None) is learner and _is_plain(run) and _fits(seeded, X, y, run):
            result.run = run
            return result
    start = perf_counter()
    try:
        result.run = seeded.train(X, y)
    except Exception as error:  # noqa: BLE001 - reported in the rows of the learner's methods
        result.error = f"training failed: {_describe(error)}"
    else:
        result.seconds = perf_counter() - start
    return result


def _is_plain(run: object) -> bool:
    return isinstance(run, TrainingRun) and bool((run.weights == 1).all())


def _fits(learner: Learner, X: Any, y: Any, run: Any) -> bool:
    try:
        learner.replay(X, y, run)
    except RunMismatchError:
        return False
    return True


def _value(work: _Work, name: str, position: int, trained: _Trained) -> None:
    """Value the samples by one method, and note what it took."""
    seed, error = work.seeds[position], trained.error
    seconds = peak = None
    if error is None:
        method = copy(work.methods[name])
        method.learner = trained.learner
        if "seed" in method.get_params(deep=False):
            method.set_params(seed=seed)
        start = perf_counter()
        try:
            with PeakMemory() as memory:
                method.fit(*work.data.as_arguments(), run=trained.run)
                found = method.score(*work.validation.as_arguments())
            seconds, peak = perf_counter() - start, memory.rise
            work.values[name][position] = check_values(found, partial=True)
        except Exception as failure:  # noqa: BLE001 - reported in the method's row
            error = _describe(failure)
    work.outcomes[name][position] = Outcome(
        seed=seed, error=error, seconds=seconds, training_seconds=trained.seconds, peak_memory=peak
    )


def _find_truth(work: _Work, position: int, trained: _Trained, options: dict[str, Any]) -> None:
    n_subsets, work.truths[position] = work.truths[position], None
    if trained.error is not None:
        return
    data, validation = work.data, work.validation
    try:
        work.truths[position] = retrain_subsets(
            trained.learner,  # type: ignore[arg-type]
            *data.as_arguments(),
            *validation.as_arguments(),
            run=trained.run,
            n_subsets=n_subsets,  # type: ignore[arg-type]
            **{"seed": work.seeds[position]} | options,
        )
    except Exception as error:  # noqa: BLE001 - the values found so far are not lost
        work.problems.append(f"no ground truth for seed {work.seeds[position]}: {_describe(error)}")


def _judge(work: _Work, is_noisy: npt.ArrayLike | None, n_bootstrap: int) -> Comparison:
    """Hold all values that there are against all that is known."""
    results = []
    for name in work.methods:
        positions = [i for i in range(len(work.seeds)) if work.is_valued(name, i)]
        for position in positions:
            judged = _judged(work, name, position, is_noisy, n_bootstrap)
            work.outcomes[name][position] = work.outcomes[name][position].model_copy(update=judged)
        if work.across_seeds:
            _judge_across_seeds(work, name)
        outcomes, stability = tuple(work.outcomes[name]), _stability(work.values[name][positions])
        results.append(MethodResult(name=name, outcomes=outcomes, stability=stability))
    notes = _partial(work)
    return Comparison(work.seeds, tuple(results), work.values, (*work.problems, *notes))


def _judge_across_seeds(work: _Work, name: str) -> None:
    """Hold a method's values against the truths of other seeds, where at least two seeds have both."""
    rows = work.values[name]
    there = [
        i
        for i, truth in enumerate(work.truths)
        if work.is_valued(name, i) and isinstance(truth, SubsetTruth) and not np.isnan(rows[i]).any()
    ]
    if len(there) < 2:
        return
    truths = [truth for i in there if isinstance(truth := work.truths[i], SubsetTruth)]
    found = fidelity_across_seeds(rows[there], truths)
    for i, other, averaged in zip(there, found.other, found.averaged, strict=True):
        update = {
            "fidelity_other_seeds": other,
            "fidelity_averaged": averaged,
            "outcome_correlation": found.outcome_correlation,
        }
        work.outcomes[name][i] = work.outcomes[name][i].model_copy(update=update)


def _stability(rows: FloatArray) -> RankStability | None:
    """Return how far the seeds agree on the samples that all of them have values of."""
    common = ~np.isnan(rows).any(axis=0)
    return rank_stability(rows[:, common]) if len(rows) > 1 and common.any() else None


def _partial(work: _Work) -> list[str]:
    """Say which methods have values of some samples only."""
    notes = []
    for name, values in work.values.items():
        counts = {int((~np.isnan(row)).sum()) for row in values} - {0}
        if counts and min(counts) < len(work.data):
            notes.append(f"{name} values {min(counts):,} of {len(work.data):,} samples, and is judged on those")
    return notes


def _judged(
    work: _Work, name: str, position: int, is_noisy: npt.ArrayLike | None, n_bootstrap: int
) -> dict[str, Any]:
    values, truth = work.values[name][position], work.truths[position]
    judged: dict[str, Any] = {}
    there = ~np.isnan(values)
    if is_noisy is not None and _has_both(np.asarray(is_noisy)[there]):
        judged["noise"] = noise_detection(values[there], np.asarray(is_noisy)[there], n_bootstrap=n_bootstrap)
    if isinstance(truth, SubsetTruth) and there.all():
        judged["fidelity"] = linear_datamodeling_score(values, truth)
    if isinstance(truth, str):
        truth = work.values[truth][position] if work.is_valued(truth, position) and truth != name else None
    if isinstance(truth, np.ndarray) and (there & ~np.isnan(truth)).any():
        judged["agreement"] = leave_one_out_agreement(values, truth)
    return judged


def _has_both(is_noisy: npt.NDArray[Any]) -> bool:
    """Whether there are noisy and clean samples, so that there is something to detect."""
    return bool(is_noisy.any() and not is_noisy.all())


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
