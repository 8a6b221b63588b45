"""What every valuation method is: fit, score, attribute, explain, verify."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from dataval.backend.registry import framework_settings
from dataval.checks import whole_number
from dataval.data import Samples
from dataval.methods.explanation import Explanations
from dataval.methods.groups import Groups
from dataval.methods.questions import Questions, as_queries, negative_output, predict
from dataval.methods.verification import Verification
from dataval.metrics.fidelity import LinearDatamodelingScore
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["DataValuator"]


class DataValuator(BaseEstimator, ABC):
    """Base of the valuation methods.

    ``fit`` takes the training samples, and trains what the method needs; ``score`` answers with one value a
    training sample. Values are float64 in the unit of the validation objective. **Positive: the sample helps**,
    the objective would rise without it. Negative: it hurts.

    A method asks its question of one source: of a recorded run (`RunValuator`), of states of the parameters
    (`StateValuator`), of the samples alone (`DataOnlyValuator`), or of what can be trained again
    (`RetrainingValuator`). Subclasses of these implement `_score`, and `_attribute` where values of single
    validation samples exist.

    Attributes
    ----------
    run_ : TrainingRun or None
        The recorded run, to be shared with other methods; None where the method needs none.
    diagnostics_ : dict
        What the last call of `score` or `attribute` noticed.
    """

    needs: ClassVar[str]
    """What the method asks its question of, as messages name it."""

    needs_learner: ClassVar[bool] = True
    """Whether it can't do without a learner."""

    learner: Any

    @abstractmethod
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, and train what the method needs, or adopt a run recorded before.

        Parameters
        ----------
        X : array, nested tuples or dicts of arrays, data frame, or data set
            Training inputs, or a data set that yields them with their targets; see `Learner.train`.
        y : array, shape (N, ...), optional
            Training targets.
        run : TrainingRun, optional
            A run of the same learner on the same data, to be used instead of training again.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError, InvalidModelError
            If data, model or loss can't be used; before any training.
        RunMismatchError
            If `run` was recorded with something else.
        """

    @framework_settings()
    def score(self, X: Any, y: Any = None) -> NDArray[np.float64]:
        """Return the value of every training sample for a validation set.

        Parameters
        ----------
        X : array, nested tuples or dicts of arrays, data frame, or data set
            Validation inputs, or a data set that yields them with their targets.
        y : array, optional
            Validation targets.

        Returns
        -------
        ndarray of float64, shape (N,)
            Higher helps, negative hurts.

        Raises
        ------
        InvalidDataError
            If the validation data don't fit.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        source, validation = self._question(X, y)
        self._check_memory(source, len(validation), "score")
        return self._score(source, validation)

    @framework_settings()
    def attribute(self, X: Any, y: Any = None, *, groups: Any = None) -> NDArray[np.float64]:
        """Return the value of every training sample for every validation sample, or for groups of them.

        A group is one question: how the mean objective of its samples would change. `HyDRA`,
        `InfluenceFunction` and `TracIn` average gradients first, so that by class or by kind of error the cost
        is that of the number of groups, whatever the number of samples.

        Parameters
        ----------
        X, y
            Validation inputs and targets, as for `score`.
        groups : array, shape (n_val,), optional
            The group that each validation sample belongs to: labels, clusters, names.

        Returns
        -------
        ndarray of float64, shape (n_val, N) or (n_groups, N)
            ``attribute(X, y).mean(axis=0)`` equals ``score(X, y)``. With groups, row g is the mean of the rows
            of the samples in group ``numpy.unique(groups)[g]``; their mean, weighted by the groups' sizes,
            equals ``score(X, y)``.

        Raises
        ------
        InvalidDataError
            If the validation data don't fit; if there isn't one group a sample, or one is missing.
        TypeError
            If the method values no single validation samples.
        """
        source, validation = self._question(X, y)
        if groups is None:
            self._check_memory(source, len(validation), "attribute")
            return self._attribute(source, validation)
        checked = self._groups(source, validation, groups)
        self._check_memory(source, len(checked), "attribute")
        return self._attribute_groups(source, validation, checked)

    @framework_settings()
    def explain(self, X: Any, y_true: Any = None, *, k: int = 5) -> Explanations:
        """Say which training samples made the model predict what it does, and why not the truth.

        A classifier is asked about the label that it predicts: values are those of ``attribute(X, labels)``.
        Without a helpful sample the model would be less sure of its label, without a harmful one surer. A loss
        without a name is taken for a classifier's where the training targets are whole numbers.

        The gradient of a squared error at the model's own prediction is 0, so a regression is asked about its
        output, whatever the method's objective: a helpful sample raises the output, a harmful one lowers it.

        Predictions are those of the final state of ``run_``, in evaluation mode. The cost is that of one
        `attribute` of the queries, in which those whose true label is not the predicted one count twice.

        Parameters
        ----------
        X : array, nested tuples or dicts of arrays, data frame, or data set
            Queries. A data set yields them with their true targets.
        y_true : array, shape (n,), or str, optional
            Their true labels or values, or the name of these in a data frame: then the answer has ``for_true``
            and ``contrast``.
        k : int, default 5
            The most training samples of each kind to name. Those of weight 0 are never among them.

        Returns
        -------
        Explanations
            One `Explanation` a query; `dataval.plotting.ExplanationDisplay` draws them.

        Raises
        ------
        TypeError
            If the method values no single queries, or the model has no one label or output a sample.
        InvalidDataError
            If queries or true labels don't fit, or an output is not finite.
        ValueError
            If `k` is below 1.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        whole_number("k", k, minimum=1)
        name = type(self).__name__
        if type(self)._attribute is DataValuator._attribute:
            raise _unable_to_explain(name)
        replay = self._predicting()
        training = replay.program.data
        queries = as_queries(X, y_true, training)
        predictions = predict(replay, queries, self.learner.loss, name)
        questions = Questions.of(queries, predictions, training)
        values = self._asking_of(predictions.are_labels, questions.samples)
        return questions.answered(values, k, training, replay.program.weights)

    @framework_settings()
    def verify(
        self,
        X: Any,
        y: Any = None,
        *,
        n_subsets: int = 40,
        fraction: float = 0.01,
        values: NDArray[np.float64] | None = None,
        seed: int = 0,
        seeds: Sequence[int] | None = None,
        average: bool = False,
        is_noisy: ArrayLike | None = None,
        n_jobs: int | None = None,
        group_size: int | None = None,
        folder: str | Path | None = None,
    ) -> LinearDatamodelingScore:
        """Retrain on random subsets and compare with what the values predict.

        The linear datamodeling score: Spearman's correlation, over random subsets of the training samples,
        between the sum of the removed samples' values and the true rise of the validation objective when the
        model is trained without them (same initialisation, batches and seeds).

        Beside the score stand what plain baselines get on the same subsets, the loss and how far removal
        changes it, and, of a classifier, the accuracy. A `PlateauWarning` says that training has hardly begun.

        Parameters
        ----------
        X, y
            Validation inputs and targets, as for `score`.
        n_subsets : int, default 40
            Number of retrainings.
        fraction : float, default 0.01
            Share of the training samples that each subset removes, in (0, 1).
        values : ndarray, shape (N,), optional
            Values to judge; ``score(X, y)`` by default.
        seed : int, default 0
            Draws the subsets and the bootstrap.
        seeds : sequence of int, optional
            Judge the same values also by trainings with these seeds, other than their own (of batches and
            random draws, and of the initialisation where a callable builds the model): ``.other_seeds``.
            Each takes as many retrainings again.
        average : bool, default False
            With `seeds`: value the samples under each of them as well, and judge the mean of the values of all
            other trainings.
        is_noisy : array-like of bool, shape (N,), optional
            Which training samples are known to be wrong. Counting those that a subset removes predicts much by
            itself: the score with that count held fixed is then in ``.baselines``.
        n_jobs : int, optional
            Processes that retrain in parallel, -1 for as many as there are cores; by default one, or what
            `joblib.parallel_config` says, such as all workers of a Dask cluster. Doesn't change the result.
        group_size : int, optional
            Retrainings that are done at once as one vectorised program; chosen from the model's size by
            default, and with a folder at most 16, as an interruption loses those that are under way. Doesn't
            change the result beyond rounding.
        folder : path, optional
            Where finished retrainings are kept, so that an interrupted call goes on where it stopped and
            other methods can be judged by the same retrainings.

        Returns
        -------
        LinearDatamodelingScore
            ``.score`` in [-1, 1], ``.confidence_interval``, ``.predicted``, ``.actual``, ``.baselines``,
            ``.other_seeds``, ``.loss``, ``.spread``, ``.accuracy``.

        Raises
        ------
        ValueError
            If a subset would be empty or everything, there are fewer than three, or `seeds` has the run's own.
        InvalidDataError
            If other seeds are asked for and the run is of a recorded loop.
        RunMismatchError
            If the run has states alone: there is no start to train from again.
        """
        verification = Verification(
            self,
            self._trained_again(),
            n_subsets=n_subsets,
            fraction=fraction,
            values=values,
            seed=seed,
            seeds=seeds,
            average=average,
            is_noisy=is_noisy,
            n_jobs=n_jobs,
            group_size=group_size,
            folder=folder,
        )
        source, validation = self._question(X, y)
        verification.check(validation)
        judged = self._score(source, validation) if verification.given is None else verification.given
        found = verification.of(judged, validation)
        if values is None:
            self._advise(found)
        return found

    def _advise(self, found: LinearDatamodelingScore) -> None:
        """Say what to do about a score of the method's own values, where something helps."""

    @abstractmethod
    def _score(self, source: Any, validation: Samples) -> NDArray[np.float64]:
        """Return the value of every training sample, shape ``(N,)``."""

    def _attribute(self, source: Any, validation: Samples) -> NDArray[np.float64]:
        """Return the value of every training sample for every validation sample, shape ``(n_val, N)``."""
        raise TypeError(f"{type(self).__name__} gives no values for single validation samples: use score")

    def _attribute_groups(self, source: Any, validation: Samples, groups: Groups) -> NDArray[np.float64]:
        """Return the value of every training sample for groups of validation samples, ``(n_groups, N)``."""
        return groups.means(self._attribute(source, validation))

    def _groups(self, source: Any, validation: Samples, groups: Any) -> Groups:
        """Return the groups of validation samples, checked."""
        if type(self)._attribute is DataValuator._attribute:
            self._attribute(source, validation)  # which raises
        return Groups.of(groups, len(validation))

    def _asking_of(self, are_labels: bool, samples: Samples) -> NDArray[np.float64]:
        """Return the values for labels that samples carry, or else for the model's output on them."""
        if are_labels:
            return self.attribute(samples)
        asked: Any = copy.copy(self)
        asked.set_params(objective=negative_output)
        values: NDArray[np.float64] = asked.attribute(samples)
        if hasattr(asked, "diagnostics_"):
            self.diagnostics_ = asked.diagnostics_
        return values

    def _predicting(self) -> Replay:
        """Return the run whose final state `explain` asks for predictions."""
        raise _unable_to_explain(type(self).__name__)

    def _check_memory(self, source: Any, n_val: int, call: str) -> None:
        """Raise `InsufficientMemoryError` where it is known beforehand that a call can't fit."""

    @abstractmethod
    def _question(self, X: Any, y: Any) -> tuple[Any, Samples]:
        """Return the source that the question is asked of, and the validation samples, checked."""

    @abstractmethod
    def _trained_again(self) -> Replay:
        """Return the program that `verify` retrains, with its run."""


def _unable_to_explain(name: str) -> TypeError:
    return TypeError(
        f"{name} can't say what one prediction comes from: explain with HyDRA, InfluenceFunction, TracIn, or "
        "LeaveOneOut of a learner"
    )
