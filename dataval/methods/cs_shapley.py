"""CS-Shapley: Shapley values that keep apart what a sample does to its own class and to the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.checks import whole_number
from dataval.errors import InvalidDataError
from dataval.methods.of_outcomes import OutcomeValuator
from dataval.progress import progress_bar
from dataval.retraining.estimators import is_estimator
from dataval.retraining.outcomes import Outcomes, Resample
from dataval.training.learner import Learner

__all__ = ["CSShapley"]

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


class CSShapley(OutcomeValuator):
    r"""Class-wise Shapley values: a sample is judged by its own class first, given some of the others.

    .. math:: v_c(S) = a_c(S)\,e^{a_{-c}(S)},\qquad
              \mathrm{value}_j = \mathop{\mathrm E}_{T\subseteq D_{-c}}\;\sum_{S\subseteq D_c\setminus j}
              \frac{v_c(S\cup j\cup T) - v_c(S\cup T)}{|D_c|\,\binom{|D_c|-1}{|S|}}

    for a sample of class c, with :math:`D_c` the training samples of that class and :math:`D_{-c}` the others,
    of which T is any subset, all alike; :math:`a_c` the share of all validation samples that are of class c and
    predicted right, and :math:`a_{-c}` that of the others. Nobody is worth 0. Positive: the sample helps. What
    a sample gains for its class counts in full, harm to others shrinks it: wrong labels, which help another
    class, are not rewarded. The unit is :math:`v_c`, between 0 and e: an accuracy, not a loss.

    Estimated from `n_permutations` rounds: for each class a subset of the others, and a random order in which
    the class's samples join. A round trains N + C models (C classes), so this is for small data and fast
    models; choose `KNNShapley` or `DataOOB` for more. The paper then scales each class's values so that they
    sum to its accuracy, which would change their sign where that sum is negative: that is left to the reader.

    Parameters
    ----------
    learner : Learner or scikit-learn classifier
        What is trained. A learner trains from the same start in the same batches, with weight 0 for what is
        left out; a classifier of which one class is left always says that one.
    n_permutations : int, default 20
        Number of rounds.
    seed : int, default 0
        Draws subsets and orders.
    n_jobs : int, optional
        Processes that train in parallel, -1 for as many as there are cores; by default one, or what
        `joblib.parallel_config` says, such as all workers of a Dask cluster.
    group_size : int, optional
        Models of a learner that are trained at once. Changes values by rounding only. Not for estimators.
    folder : path, optional
        Where a learner's finished models' results are kept and looked up. Not for estimators.

    Attributes
    ----------
    run_ : TrainingRun or None
        The run that was given to `fit`.
    diagnostics_ : dict
        ``"standard_error"``: of every value, over the rounds, shape ``(N,)``; NaN for a single one.

    References
    ----------
    Schoch, Xu & Ji (2022). CS-Shapley: class-wise Shapley values for data valuation in classification. NeurIPS.
    https://arxiv.org/abs/2211.06800

    Examples
    --------
    >>> values = dv.CSShapley(LogisticRegression()).fit(X, y).score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | Any,
        *,
        n_permutations: int = 20,
        seed: int = 0,
        n_jobs: int | None = None,
        group_size: int | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self.learner = learner
        self.n_permutations = n_permutations
        self.seed = seed
        self.n_jobs = n_jobs
        self.group_size = group_size
        self.folder = folder

    def _begin(self, outcomes: Outcomes) -> None:
        whole_number("n_permutations", self.n_permutations, minimum=1)

    def _score(self, source: Outcomes, validation: Any) -> FloatArray:
        labels = _labels(validation)
        rounds = np.empty((self.n_permutations, source.n_samples))
        show = None if is_estimator(self.learner) else False  # a learner's trainings have a bar of their own
        with progress_bar("permutations", self.n_permutations, show) as bar:
            for number, values in enumerate(rounds):
                values[:] = self._round(source, validation, labels, number)
                bar.update()
        error = np.full(source.n_samples, np.nan)
        if self.n_permutations > 1:
            error = rounds.std(axis=0, ddof=1) / self.n_permutations**0.5
        self.diagnostics_ = {"standard_error": error}
        return np.asarray(rounds.mean(axis=0))

    def _round(self, source: Outcomes, validation: Any, labels: NDArray[Any], number: int) -> FloatArray:
        """Return one round's estimate of every sample's value."""
        rng = np.random.default_rng([self.seed, number])
        classes = [
            (label, order, joined(source.labels == label, order, rng.random(source.n_samples) < 0.5))
            for label in np.unique(source.labels)
            for order in [rng.permutation(np.flatnonzero(source.labels == label))]
        ]
        masks = np.concatenate([rows for _, _, rows in classes])
        right = iter(self._right(source, validation, masks, len(labels)))
        values = np.empty(source.n_samples)
        for label, order, rows in classes:
            worth = [class_worth(next(right), labels == label) for _ in rows]
            values[order] = np.diff(worth)
        return values

    def _right(self, source: Outcomes, validation: Any, masks: Mask, n: int) -> Iterator[FloatArray]:
        """Yield which validation samples each model is right about; nobody about none."""
        asked = [Resample(mask.astype(np.int64), self.seed) for mask in masks if mask.any()]
        rows = source.rows(asked, validation, self._options("accuracy")) if asked else iter(())
        for mask in masks:
            row = next(rows) if mask.any() else np.zeros(n)
            if isinstance(row, str):
                raise InvalidDataError(f"a model of {int(mask.sum())} samples can't be had: {row}")
            yield row


def joined(members: Mask, order: NDArray[np.int64], is_there: Mask) -> Mask:
    """Return who is there before and after each member of a class joins, ``(len(order) + 1, N)``."""
    rows = np.tile(is_there & ~members, (len(order) + 1, 1))
    for position, sample in enumerate(order):
        rows[position + 1 :, sample] = True
    return rows


def class_worth(right: FloatArray, is_own: Mask) -> float:
    """Return the share of own samples that are right, times e to the power of that of the others."""
    n = len(right)
    return float(right[is_own].sum() / n * np.exp(right[~is_own].sum() / n))


def _labels(validation: Any) -> NDArray[Any]:
    """Return the labels of validation samples: of arrays, or of what an estimator takes."""
    if hasattr(validation, "target_parts"):
        parts = [targets for _, targets in validation.target_parts()]
        return np.concatenate([np.asarray(part).reshape(-1) for part in parts])
    return np.asarray(validation.y)
