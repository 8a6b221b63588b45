"""Wrong labels, in any data, with a model or without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dataval.checks import described, one_of, share, whole_number
from dataval.data import as_data
from dataval.detection.experts import kernel_logs
from dataval.detection.networks import Trained, trained
from dataval.detection.tables import as_rows
from dataval.detection.targets import Targets, read_targets
from dataval.detection.verdict import (
    Verdict,
    of_classes,
    of_model,
    of_numbers,
    of_several,
    with_network,
)
from dataval.errors import InvalidDataError
from dataval.labels.kernel import softened, standardised
from dataval.labels.transition import fit_noise, log_odds_wrong
from dataval.methods.features import check_features, features_of
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["LabelErrors"]

FloatArray = NDArray[np.float64]
Task = Literal["classification", "regression", "multilabel"]

_FEWEST = 10
_LANDMARKS = 1000  # of each untrained copy
_SMALLEST = 1e-6  # probability


class LabelErrors(BaseEstimator):
    r"""Find the labels that are likely wrong, say what they should be, and how many there are.

    Every sample is judged by models that have not seen its label: kernel ridge regression, leave-one-out in
    closed form (`KernelLeaveOneOut`), logistic regression and, from 1,500 samples on, boosted trees, five-fold.
    A pool of them, p, and the matrix T by which labels err, :math:`T_{cd} = P(\text{labelled } d \mid
    \text{of class } c)`, are found together by expectation and maximisation; then

    .. math:: P(\text{wrong}_i) = 1 - \frac{p(\tilde y_i\mid x_i)\,T_{\tilde y_i\tilde y_i}}
              {\sum_c p(c\mid x_i)\,T_{c\tilde y_i}}

    for the given label :math:`\tilde y_i`. How far T may go from class to class the errors themselves decide:
    symmetric noise is taken for what it is, and where one class is mistaken for another, that is what is looked
    for. Given a learner, the same log-odds from its class probabilities, the mean over the epochs, share in the
    order of the samples (mean training losses, where it is no classifier or its run can't be replayed), and
    images are seen through the first layers of untrained copies of its network.

    A regression's numbers are judged by the residuals of ridge regression, the kernel and trees: a mixture of a
    heavy-tailed distribution and of numbers that have nothing to do with the sample. Of several labels that are
    there or not, each is judged by itself.

    What can't be known: where classes truly overlap, a sample on the wrong side is a surprise whether its label
    is wrong or not. Look at what is flagged; the values are the order in which to look.

    Parameters
    ----------
    learner : Learner, optional
        Trained once, unless its run is given. By default none: data are a table, or what `features` make of
        them.
    task : {"classification", "regression", "multilabel"}, optional
        By default: several columns of 0 and 1 are labels that are there or not; numbers with a fraction, or
        whole numbers that nearly all differ, are regressed on; everything else is classes.
    features : callable, optional
        A function of NumPy inputs (some samples at a time) that returns ``(n, ...)``: an embedding, for what is
        no table.
    threshold : float, default 0.5
        Probability above which a label is called wrong, in (0, 1).
    seed : int, default 0
        Draws folds, landmarks and untrained copies.

    Attributes
    ----------
    values_ : ndarray of float64, shape (N,)
        Higher is a better label, as in every method: minus the log-odds of being wrong, minus the size of the
        residual, or with a learner their sum with the mean loss, each scaled by its interquartile range.
    probability_wrong_ : ndarray of float64, shape (N,), or (N, L) of several labels
    is_wrong_ : ndarray of bool, as ``probability_wrong_``
    suggested_label_ : ndarray, shape (N,) or (N, L)
        The likeliest label, in the form of y; of a regression the prediction.
    n_wrong_ : float
        The sum of the probabilities: how many labels are expected to be wrong.
    expected_precision_, expected_recall_ : float
        What the probabilities say of ``is_wrong_``: of those flagged how many are wrong (NaN if none is), and
        of those wrong how many are flagged (NaN if none is expected).
    transition_ : ndarray of float64, shape (C, C), or (L, 2, 2), or None
        T: row of the true class, column of the label. None for a regression.
    probabilities_ : ndarray of float64, shape (N, C), or (N, L, 2), or None
        Of each class, given the sample and its label.
    classes_ : ndarray, shape (C,), or None
    task_ : str
    run_ : TrainingRun or None

    References
    ----------
    Dawid & Skene (1979). Maximum likelihood estimation of observer error-rates using the EM algorithm. JRSS C.
    Northcutt, Jiang & Chuang (2021). Confident learning: estimating uncertainty in dataset labels. JAIR.

    Examples
    --------
    >>> found = dv.LabelErrors().fit(table, labels)
    >>> order = found.values_.argsort()  # the most suspicious first
    >>> table[found.is_wrong_], found.suggested_label_[found.is_wrong_]
    >>> found = dv.LabelErrors(learner).fit(X, y, run=run)
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        task: Task | None = None,
        features: Callable[[Any], Any] | None = None,
        threshold: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.learner = learner
        self.task = task
        self.features = features
        self.threshold = threshold
        self.seed = seed

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Judge every label.

        Parameters
        ----------
        X : data frame, array, sparse matrix; with a learner or features whatever these take
            Of a data frame, words and categories are encoded and missing cells filled in.
        y : array-like, shape (N,) or (N, L)
            Labels of any kind, or numbers. Left out for a data set, which yields them.
        run : TrainingRun, optional
            Of the learner on these data, instead of training again.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If there are fewer than 10 samples or one class alone, X and y differ in length, or something is
            missing among the labels; before any training.
        RunMismatchError
            If `run` is of another learner or other data.
        TypeError
            If the learner is none, or there is a run without a learner.
        """
        self._check_parameters(run)
        targets, y = self._targets(X, y)
        if self.learner is None:
            self.run_: TrainingRun | None = None
            verdict = _without_model(self._rows(X, len(targets.values)), targets, self.seed)
        else:
            verdict = self._with_learner(
                self.learner, X, y if targets.is_native else targets.values, targets, run
            )
        self._conclude(verdict, targets)
        return self

    def score(self, X: Any = None, y: Any = None) -> FloatArray:
        """Return ``values_``, whatever the validation set: it plays no part."""
        check_is_fitted(self, "values_")
        return np.array(self.values_)

    def _check_parameters(self, run: TrainingRun | None) -> None:
        if self.learner is not None and not isinstance(self.learner, Learner):
            raise TypeError(
                f"the learner of LabelErrors must be a dataval.Learner or None, got {described(self.learner)}"
            )
        if self.learner is None and run is not None:
            raise TypeError("a run is of a learner: LabelErrors(learner).fit(X, y, run=run)")
        if self.task is not None:
            one_of("task", self.task, ("classification", "regression", "multilabel"))
        check_features(self.features)
        share("threshold", self.threshold)
        whole_number("seed", self.seed, minimum=0)

    def _targets(self, X: Any, y: Any) -> tuple[Targets, Any]:
        """Return the targets, read, and as they were given."""
        labels = y
        if y is None:
            labels = np.concatenate([np.asarray(part) for _, part in as_data(X).target_parts()])
        targets = read_targets(labels, self.task)
        if len(targets.values) < _FEWEST:
            raise InvalidDataError(
                f"LabelErrors needs at least {_FEWEST} samples to tell errors from chance, "
                f"got {len(targets.values)}"
            )
        return targets, y

    def _rows(self, X: Any, n: int) -> FloatArray:
        if self.features is None:
            rows = as_rows(X)
        else:
            rows = features_of(as_data(X, np.zeros(n, dtype=np.int64)), self.features)
        if len(rows) != n:
            raise InvalidDataError(f"X holds {len(rows)} samples, y {n}: they must be as many")
        return softened(rows) if self.features is None else standardised(rows)

    def _with_learner(
        self, learner: Learner, X: Any, y: Any, targets: Targets, run: TrainingRun | None
    ) -> Verdict:
        found = trained(
            learner,
            X,
            y,
            run,
            features=self.features,
            is_classifier=targets.task == "classification",
            seed=self.seed,
        )
        self.run_ = found.run
        verdict = _of_views(found, targets, self.seed)
        return with_network(verdict, _suspicion(found, verdict, targets))

    def _conclude(self, verdict: Verdict, targets: Targets) -> None:
        wrong = verdict.probability_wrong
        self.task_, self.classes_ = targets.task, targets.classes
        self.values_, self.probability_wrong_ = verdict.values, wrong
        self.is_wrong_ = wrong > self.threshold
        self.suggested_label_ = targets.as_given(verdict.suggested)
        self.probabilities_, self.transition_ = verdict.probabilities, verdict.transition
        self.n_wrong_ = float(wrong.sum())
        caught = float(wrong[self.is_wrong_].sum())
        n_flagged = int(self.is_wrong_.sum())
        self.expected_precision_ = caught / n_flagged if n_flagged else float("nan")
        self.expected_recall_ = caught / self.n_wrong_ if self.n_wrong_ > 0 else float("nan")


def _without_model(rows: FloatArray, targets: Targets, seed: int) -> Verdict:
    if targets.task == "regression":
        return of_numbers(rows, targets.values, seed)
    judge = of_classes if targets.task == "classification" else of_several
    return judge(rows, targets.values, seed)


def _of_views(found: Trained, targets: Targets, seed: int) -> Verdict:
    """Judge labels by held-out models on what was seen of the samples."""
    if targets.task != "classification" or not found.is_of_copies:
        return _without_model(np.concatenate(found.views, axis=1), targets, seed)
    labels = targets.values
    logs = [
        kernel_logs(rows, labels, seed=seed + copy, landmarks=min(_LANDMARKS, len(rows)))
        for copy, rows in enumerate(found.views)
    ]
    model = fit_noise(np.stack(logs), labels, seed=seed)
    # Beside a network, the order by the probabilities of the labels themselves finds a little more.
    return replace(of_model(model, labels), values=-log_odds_wrong(model.given, model.transition, labels))


def _suspicion(found: Trained, verdict: Verdict, targets: Targets) -> FloatArray:
    """Return the log-odds of a wrong label that a network's own probabilities speak for, or else its losses."""
    of_run, transition = found.probabilities, verdict.transition
    if of_run is None or transition is None or targets.classes is None:
        return found.losses
    columns = targets.classes if targets.is_native else np.arange(len(targets.classes))
    chosen = of_run[:, np.asarray(columns, dtype=np.int64)]  # some of the model's classes may have no sample
    return log_odds_wrong(np.maximum(chosen, _SMALLEST), transition, targets.values)
