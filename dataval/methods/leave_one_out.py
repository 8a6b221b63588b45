"""Leave-one-out: training again without every single sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dataval.backend import ObjectiveFunction
from dataval.backend.registry import framework_settings
from dataval.checks import whole_numbers
from dataval.methods.of_retraining import RetrainingValuator
from dataval.retraining.again import Mask, Retraining, Utilities
from dataval.training.learner import Learner

__all__ = ["LeaveOneOut"]

FloatArray = NDArray[np.float64]


class LeaveOneOut(RetrainingValuator):
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
        Where it has a `random_state` of None, also inside of others, the same one is held fixed for all fits.
        A fit that fails costs that sample its value (NaN, with a `RetrainingWarning`), not the others.
    indices : sequence of int, optional
        The samples to leave out; all by default. The values of others are NaN.
    seeds : sequence of int, optional
        Average over training with each of these seeds (of batches and random draws, and of the initialisation
        where a callable builds the model) instead of the run's own: a sequence, also of one. An estimator's
        `random_state`, also inside of others.
    mode : {"weight", "removal"}, default "weight"
        ``"weight"`` gives the sample weight 0 in otherwise equal batches, which is what derivatives are about.
        ``"removal"`` trains on the data really without it, one run at a time: batches are drawn anew, so that
        values hold that noise as well. Estimators of scikit-learn are always trained without it.
    utility : str or callable, default "loss"
        ``"loss"``, ``"accuracy"``, a name of a scikit-learn scorer, or a function (outputs, targets) -> number
        on NumPy arrays where greater is better (for an estimator: (estimator, X, y) -> number). An estimator's
        loss is the log loss of its probabilities, or the mean squared error.
    objective : callable, optional
        What ``"loss"`` averages, as for `HyDRA`; the learner's loss by default. Not for estimators.
    n_jobs : int, optional
        Processes that train in parallel, -1 for as many as there are cores; by default one, or what
        `joblib.parallel_config` says, such as all workers of a Dask cluster.
    group_size : int, optional
        Runs that are trained at once; from a memory budget by default, and with a folder at most 16, as an
        interruption loses those that are under way. Changes values by rounding only. Not for estimators.
    folder : path, optional
        Where finished runs' results are kept and looked up. Not for estimators.

    Attributes
    ----------
    run_ : TrainingRun or None
        Of a learner; None for an estimator. It plays no part but for its weights and its start.
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
        n_jobs: int | None = None,
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
        data = self._trained_again().program.data
        left_out = self._left_out(len(data))
        found = self._retraining.single_losses(_one_by_one(left_out, len(data)), data, self._options())
        own = found[..., left_out]
        values = np.diagonal(own[:, 1:], axis1=1, axis2=2) - own[:, 0]
        return _spread(values.mean(axis=0), left_out, len(data))

    def _score(self, retraining: Retraining, validation: Any) -> FloatArray:
        found = retraining.utilities(self._removals(retraining.n_samples), validation, self._options())
        return self._values(found, self._left_out(retraining.n_samples), retraining.n_samples)

    def _attribute(self, retraining: Retraining, validation: Any) -> FloatArray:
        self._check_single(retraining)
        n = retraining.n_samples
        found = retraining.single_losses(self._removals(n), validation, self._options())
        values = (found[:, 1:] - found[:, :1]).mean(axis=0).T
        return _spread(values, self._left_out(n), n)

    def _values(self, utilities: Utilities, left_out: NDArray[np.int64], n: int) -> FloatArray:
        """Turn utilities ``(n_seeds, 1 + M)`` into values, and report their spread over seeds."""
        self.diagnostics_ = {"utility": utilities.found[:, 0]}
        losses = -utilities.found if utilities.greater_is_better else utilities.found
        differences = losses[:, 1:] - losses[:, :1]
        n_seeds = len(differences)
        error = np.full(differences.shape[1], np.nan)
        if n_seeds > 1:
            error = differences.std(axis=0, ddof=1) / n_seeds**0.5
        self.diagnostics_["standard_error"] = _spread(error, left_out, n)
        return _spread(differences.mean(axis=0), left_out, n)

    def _removals(self, n: int) -> Mask:
        return _one_by_one(self._left_out(n), n)

    def _left_out(self, n: int) -> NDArray[np.int64]:
        """Return the indices of the samples to leave out, each once, as positions from 0."""
        if self.indices is None:
            return np.arange(n)
        given = np.array(whole_numbers("indices", self.indices))
        if given.min() < 0 or given.max() >= n:
            raise IndexError(f"indices must lie in 0 ... {n - 1}, got {given.min()} ... {given.max()}")
        return np.unique(given).astype(np.int64)


def _one_by_one(left_out: NDArray[np.int64], n: int) -> Mask:
    """Return which samples each run is without: one each."""
    removed = np.zeros((len(left_out), n), dtype=bool)
    removed[np.arange(len(left_out)), left_out] = True
    return removed


def _spread(values: FloatArray, left_out: NDArray[np.int64], n: int) -> FloatArray:
    """Put values along the last axis where their samples are, and NaN elsewhere."""
    found = np.full((*values.shape[:-1], n), np.nan)
    found[..., left_out] = values
    return found
