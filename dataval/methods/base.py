"""What every valuation method is: fit, score, attribute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dataval.backend.registry import framework_settings
from dataval.data import Data, as_data
from dataval.errors import InvalidDataError
from dataval.metrics.fidelity import LinearDatamodelingScore, linear_datamodeling_score
from dataval.retraining.subsets import retrain_subsets_of
from dataval.training.learner import Learner
from dataval.training.program import Program
from dataval.training.recording import carry_out
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["DataValuator"]


class DataValuator(BaseEstimator, ABC):
    """Base of the valuation methods.

    ``fit`` trains and records a run, or adopts one; ``score`` answers with one value a training sample.
    Values are float64 in the unit of the validation objective. **Positive: the sample helps**, the objective
    would rise without it. Negative: it hurts.

    Subclasses implement `_score`, and `_attribute` where values of single validation samples exist; they may
    check what they need in `_prepare`.

    Attributes
    ----------
    run_ : TrainingRun
        The recorded run, to be shared with other methods.
    diagnostics_ : dict
        What the last call of `score` or `attribute` noticed.
    """

    learner: Learner

    @framework_settings()
    def fit(self, X: Any, y: Any, *, run: TrainingRun | None = None) -> Self:
        """Train the learner and record the run, or adopt a run recorded before.

        Parameters
        ----------
        X : array, tuple of arrays or dict of arrays
            Training inputs.
        y : array, shape (N, ...)
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
        if not isinstance(self.learner, Learner):
            raise TypeError(
                f"{type(self).__name__} needs a dataval.Learner, got {type(self.learner).__name__}: wrap the "
                "model in Learner(model, loss=..., training=...)"
            )
        replay = self.learner.prepare(X, y, run=run)
        self._prepare(replay.program)
        if run is None:
            carry_out(replay.program, replay.run, progress=self.learner.progress)
        replay.check_complete()
        self._replay, self.run_ = replay, replay.run
        return self

    @framework_settings()
    def score(self, X: Any, y: Any) -> NDArray[np.float64]:
        """Return the value of every training sample for a validation set.

        Parameters
        ----------
        X : array, tuple of arrays or dict of arrays
            Validation inputs.
        y : array
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
        return self._score(*self._question(X, y))

    @framework_settings()
    def attribute(self, X: Any, y: Any) -> NDArray[np.float64]:
        """Return the value of every training sample for every validation sample.

        Parameters
        ----------
        X, y
            Validation inputs and targets, as for `score`.

        Returns
        -------
        ndarray of float64, shape (n_val, N)
            ``attribute(X, y).mean(axis=0)`` equals ``score(X, y)``.

        Raises
        ------
        InvalidDataError
            If the validation data don't fit.
        TypeError
            If the method values no single validation samples.
        """
        return self._attribute(*self._question(X, y))

    @framework_settings()
    def verify(
        self,
        X: Any,
        y: Any,
        *,
        n_subsets: int = 40,
        fraction: float = 0.01,
        values: NDArray[np.float64] | None = None,
        seed: int = 0,
        n_jobs: int = 1,
        group_size: int | None = None,
        folder: str | Path | None = None,
    ) -> LinearDatamodelingScore:
        """Retrain on random subsets and compare with what the values predict.

        The linear datamodeling score: Spearman's correlation, over random subsets of the training samples,
        between the sum of the removed samples' values and the true rise of the validation objective when the
        model is trained without them (same initialisation, batches and seeds).

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
        n_jobs : int, default 1
            Processes that retrain in parallel (joblib). Doesn't change the result.
        group_size : int, optional
            Retrainings that are done at once as one vectorised program; chosen from the model's size by
            default. Doesn't change the result beyond rounding.
        folder : path, optional
            Where finished retrainings are kept, so that an interrupted call goes on where it stopped and
            other methods can be judged by the same retrainings.

        Returns
        -------
        LinearDatamodelingScore
            ``.score`` in [-1, 1], ``.confidence_interval``, ``.predicted``, ``.actual``.

        Raises
        ------
        ValueError
            If a subset would be empty or everything, or there are fewer than three.
        """
        replay, data = self._question(X, y)
        if values is None:
            values = self._score(replay, data)
        truth = retrain_subsets_of(
            replay,
            data,
            objective=getattr(self, "objective", None),
            n_subsets=n_subsets,
            fraction=fraction,
            seed=seed,
            n_jobs=n_jobs,
            group_size=group_size,
            folder=folder,
            progress=self.learner.progress,
        )
        return linear_datamodeling_score(values, truth, seed=seed)

    def _prepare(self, program: Program) -> None:
        """Check what the method needs, before any training."""

    @abstractmethod
    def _score(self, replay: Replay, validation: Data) -> NDArray[np.float64]: ...

    def _attribute(self, replay: Replay, validation: Data) -> NDArray[np.float64]:
        raise TypeError(f"{type(self).__name__} gives no values for single validation samples: use score")

    def _question(self, X: Any, y: Any) -> tuple[Replay, Data]:
        check_is_fitted(self, "run_")
        data = as_data(X, y, "validation")
        self._check_like_training(data)
        return self._replay, data

    def _check_like_training(self, data: Data) -> None:
        """Raise if validation inputs are shaped otherwise than the training inputs."""
        training = dict(self._replay.program.data.leaves())
        validation = dict(data.leaves())
        del training["y"], validation["y"]
        if validation.keys() != training.keys():
            raise InvalidDataError(
                f"the validation inputs hold {list(validation)}, the training inputs {list(training)}: they "
                "must be the same"
            )
        for name, leaf in validation.items():
            if leaf.ndim != training[name].ndim:
                raise InvalidDataError(
                    f"the validation {name} has shape {leaf.shape}, the training {name} "
                    f"{training[name].shape}: they must have as many axes"
                )
