"""Leave-one-out: training again without every single sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from dataval.backend import ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.data import Data
from dataval.methods.base import DataValuator
from dataval.objectives.utility import PerSample, make_utility
from dataval.objectives.validation import ValidationObjective
from dataval.retraining.estimators import EstimatorRetraining, is_estimator
from dataval.retraining.retrain import Measure, retrain, retrain_without, retraining_key
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["LeaveOneOut"]

FloatArray = NDArray[np.float64]


class LeaveOneOut(DataValuator):
    r"""The truth that other methods estimate: train without the sample and see.

    .. math:: \mathrm{value}_j = F(\theta_T(w \text{ with } w_j = 0)) - F(\theta_T(w))

    with the same initialisation, batches and random draws, and the same divisor b, so the two runs differ by
    the sample alone. For a utility where greater is better the difference is taken the other way round:
    positive always means that the sample helps. `score` trains N + 1 times, many runs at once as one vectorised
    program; give it `indices` for some samples only, and a `folder`, so that an interruption loses little.

    A single removal changes a network by little more than its chaos does: where training is not smooth, values
    are dominated by the accident of one seed. Average over `seeds`, and look at the standard error.

    Parameters
    ----------
    learner : Learner or scikit-learn estimator
        A classifier or regressor of scikit-learn is cloned and fitted once a sample, in parallel with `n_jobs`.
    indices : sequence of int, optional
        The samples to leave out; all by default. The values of others are NaN.
    seeds : sequence of int, optional
        Average over training with each of these seeds (of batches and random draws, and of the initialisation
        where a callable builds the model) instead of the run's own. An estimator's `random_state`.
    mode : {"weight", "removal"}, default "weight"
        ``"weight"`` gives the sample weight 0 in otherwise equal batches, which is what derivatives are about.
        ``"removal"`` trains on the data really without it, one run at a time: batches are drawn anew, so that
        values hold that noise as well. Estimators of scikit-learn are always trained without it.
    utility : str or callable, default "loss"
        ``"loss"``, ``"accuracy"``, a name of a scikit-learn scorer, or a function (outputs, targets) -> number
        on NumPy arrays where greater is better (for an estimator: (estimator, X, y) -> number). An estimator's
        loss is the log loss of its probabilities, or the mean squared error.
    objective : callable, optional
        What ``"loss"`` averages, as for `HyDRA`; the learner's loss by default.
    n_jobs : int, default 1
        Processes that train in parallel (joblib); -1 for as many as there are cores.
    group_size : int, optional
        Runs that are trained at once; from a memory budget by default. Changes values by rounding only.
    folder : path, optional
        Where finished runs' results are kept and looked up; ignored for estimators.

    Attributes
    ----------
    run_ : TrainingRun
        Of a learner. It plays no part but for its weights and its start.
    diagnostics_ : dict
        ``"standard_error"``: of the mean over `seeds`, shape ``(N,)``, NaN for a single seed; ``"utility"``:
        the utility when trained on everything, shape ``(n_seeds,)``.

    Examples
    --------
    >>> truth = dv.LeaveOneOut(learner, indices=range(100), folder="retrained").fit(X, y, run=run)
    >>> truth.score(X_val, y_val)[:100]
    """

    def __init__(
        self,
        learner: Learner | Any,
        *,
        indices: ArrayLike | None = None,
        seeds: Sequence[int] | None = None,
        mode: Literal["weight", "removal"] = "weight",
        utility: str | Callable[..., float] = "loss",
        objective: ObjectiveFunction | None = None,
        n_jobs: int = 1,
        group_size: int | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self.learner = learner
        self.indices = indices
        self.seeds = seeds
        self.mode = mode
        self.utility = utility
        self.objective = objective
        self.n_jobs = n_jobs
        self.group_size = group_size
        self.folder = folder

    def fit(self, X: Any, y: Any, *, run: TrainingRun | None = None) -> Self:
        """Train the learner and record the run, or adopt a run; an estimator is only checked.

        Parameters
        ----------
        X, y
            Training inputs and targets.
        run : TrainingRun, optional
            As for `DataValuator.fit`; not for estimators.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError, InvalidModelError, RunMismatchError
            As `DataValuator.fit`.
        IndexError
            If there is no such sample as one of `indices`.
        """
        self._check_options()
        if not is_estimator(self.learner):
            return super().fit(X, y, run=run)
        if run is not None:
            raise TypeError("an estimator of scikit-learn has no recorded run: leave run out")
        self._estimator = EstimatorRetraining(self.learner, X, y)
        self._left_out(self._estimator.n)
        self.run_: TrainingRun | None = None  # type: ignore[assignment]
        return self

    def score(self, X: Any, y: Any) -> FloatArray:
        """Return the value of every left-out sample for a validation set, NaN for the others.

        Parameters
        ----------
        X, y
            Validation inputs and targets.

        Returns
        -------
        ndarray of float64, shape (N,)

        Raises
        ------
        InvalidDataError
            If the validation data don't fit, or the utility can't be evaluated on them.
        """
        if not is_estimator(self.learner):
            return super().score(X, y)
        left_out = self._left_out(self._estimator.n)
        results = self._estimator.utilities(
            left_out, X, y, utility=self.utility, seeds=self.seeds, n_jobs=self.n_jobs
        )
        return self._values(results.utilities, results.greater_is_better, left_out, self._estimator.n)

    @framework_settings()
    def self_scores(self) -> FloatArray:
        """Return every left-out sample's value for its own loss, NaN for the others.

        How much a model has to have seen a sample to fit it: memorisation in the sense of Feldman (2020).

        Returns
        -------
        ndarray of float64, shape (N,)

        Raises
        ------
        TypeError
            For estimators of scikit-learn.
        """
        self._check_is_learner()
        replay = self._replay
        data, left_out = replay.program.data, self._left_out(replay.run.n_samples)
        found = self._retrain(replay, data, lambda one: PerSample(self._loss(one, data)), "own losses")
        own = found[..., left_out]
        values = np.diagonal(own[:, 1:], axis1=1, axis2=2) - own[:, 0]
        return _spread(values.mean(axis=0), left_out, replay.run.n_samples)

    def _score(self, replay: Replay, validation: Data) -> FloatArray:
        def measure(one: Replay) -> Any:
            return make_utility(
                self.utility,
                one.program.backend,
                validation,
                objective=self.objective,
                loss=self.learner.loss,
            )

        left_out = self._left_out(replay.run.n_samples)
        found = self._retrain(replay, validation, measure, "utility")
        return self._values(found, self.utility != "loss", left_out, replay.run.n_samples)

    def _attribute(self, replay: Replay, validation: Data) -> FloatArray:
        if self.utility != "loss":
            raise TypeError(f"utility={self.utility!r} has no value for single validation samples: use score")
        found = self._retrain(
            replay, validation, lambda one: PerSample(self._loss(one, validation)), "single losses"
        )
        values = (found[:, 1:] - found[:, :1]).mean(axis=0).T
        return _spread(values, self._left_out(replay.run.n_samples), replay.run.n_samples)

    def _retrain(
        self, replay: Replay, validation: Data, measure: Callable[[Replay], Measure], what: str
    ) -> FloatArray:
        """Train on everything and without each sample, for every seed; shape (n_seeds, 1 + M, ...)."""
        removed = _one_by_one(self._left_out(replay.run.n_samples), replay.run.n_samples)
        return np.stack(
            [self._retrain_one(one, validation, measure(one), what, removed) for one in self._runs()]
        )

    def _retrain_one(
        self, replay: Replay, validation: Data, measure: Measure, what: str, removed: NDArray[np.bool_]
    ) -> FloatArray:
        names = what, self.utility, self.objective
        options: dict[str, Any] = {
            "key": "" if self.folder is None else retraining_key(replay, validation, *names),
            "n_jobs": self.n_jobs,
            "folder": None if self.folder is None else Path(self.folder),
            "progress": self.learner.progress,
        }
        program, start = replay.program, replay.initial
        if self.mode == "removal":
            return retrain_without(program, start, removed, measure, **options)
        weights = replay.run.weights * ~removed
        return retrain(program, start, weights, measure, group_size=self.group_size, **options)

    def _runs(self) -> Iterator[Replay]:
        """Yield the run's own program, or one for every seed."""
        if self.seeds is None:
            yield self._replay
            return
        program = self._replay.program
        for seed in self.seeds:
            training = program.training.model_copy(update={"seed": int(seed)})
            learner = Learner(**self.learner.get_params(deep=False) | {"training": training})
            yield learner.prepare(program.data.inputs, program.data.targets, program.weights)

    def _values(self, utilities: FloatArray, greater_is_better: bool, left_out: Any, n: int) -> FloatArray:
        """Turn utilities ``(n_seeds, 1 + M)`` into values, and report their spread over seeds."""
        self.diagnostics_ = {"utility": utilities[:, 0]}
        losses = -utilities if greater_is_better else utilities
        differences = losses[:, 1:] - losses[:, :1]
        n_seeds = len(differences)
        error = np.full(differences.shape[1], np.nan)
        if n_seeds > 1:
            error = differences.std(axis=0, ddof=1) / n_seeds**0.5
        self.diagnostics_["standard_error"] = _spread(error, left_out, n)
        return _spread(differences.mean(axis=0), left_out, n)

    def _loss(self, replay: Replay, data: Data) -> ValidationObjective:
        return ValidationObjective(replay.program.backend, data, self.objective)

    def _question(self, X: Any, y: Any) -> tuple[Replay, Data]:
        self._check_is_learner()
        return super()._question(X, y)

    def _check_is_learner(self) -> None:
        check_is_fitted(self, "run_")
        if is_estimator(self.learner):
            raise TypeError("only score is there for estimators of scikit-learn: the rest needs a Learner")

    def _check_options(self) -> None:
        if self.mode not in {"weight", "removal"}:
            raise ValueError(f"mode must be 'weight' or 'removal', got {self.mode!r}")
        if self.seeds is not None and len(self.seeds) == 0:
            raise ValueError("seeds is empty: leave it out to use the run's own")

    def _prepare(self, program: Program) -> None:
        self._left_out(len(program.data))

    def _left_out(self, n: int) -> NDArray[np.int64]:
        """Return the indices of the samples to leave out, each once, as positions from 0."""
        if self.indices is None:
            return np.arange(n)
        given = np.asarray(self.indices)
        if given.ndim != 1 or not len(given) or given.dtype.kind not in "iu":
            raise ValueError(f"indices must be a sequence of whole numbers, got {self.indices!r}")
        if given.min() < 0 or given.max() >= n:
            raise IndexError(f"indices must lie in 0 ... {n - 1}, got {given.min()} ... {given.max()}")
        return np.unique(given).astype(np.int64)


def _one_by_one(left_out: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Return which samples each run is without: the first without none, then one each."""
    removed = np.zeros((1 + len(left_out), n), dtype=bool)
    removed[1 + np.arange(len(left_out)), left_out] = True
    return removed


def _spread(values: FloatArray, left_out: NDArray[np.int64], n: int) -> FloatArray:
    """Put values along the last axis where their samples are, and NaN elsewhere."""
    found = np.full((*values.shape[:-1], n), np.nan)
    found[..., left_out] = values
    return found
