"""Methods of data alone: they train nothing."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from sklearn.utils.validation import check_is_fitted

from dataval.backend.registry import framework_settings
from dataval.checks import described
from dataval.data import Samples, as_data
from dataval.errors import RunMismatchError
from dataval.methods.base import DataValuator
from dataval.methods.matching import as_validation
from dataval.training.learner import Learner
from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["DataOnlyValuator"]


class DataOnlyValuator(DataValuator):
    """Base of the methods that look at the samples and at no model.

    ``fit`` only takes the samples. Subclasses implement ``_score(data, validation)`` with the training samples
    as `Samples`.

    Parameters
    ----------
    learner : Learner, optional
        What `verify` retrains; nothing else needs it.
    """

    needs: ClassVar[str] = "the samples alone"
    needs_learner: ClassVar[bool] = False

    learner: Learner | None

    @framework_settings()
    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples; nothing is trained.

        Parameters
        ----------
        X, y
            Training inputs and targets.
        run : TrainingRun, optional
            A run on the same data, kept as ``run_`` for other methods.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If the data can't be used.
        RunMismatchError
            If `run` was recorded on other data.
        TypeError
            If there is a learner that is none.
        """
        name = type(self).__name__
        if self.learner is not None and not isinstance(self.learner, Learner):
            raise TypeError(
                f"the learner of {name} must be a dataval.Learner or None, got {described(self.learner)}"
            )
        data = as_data(X, y)
        if run is not None and run.data_fingerprint != data.fingerprint():
            raise RunMismatchError(f"the run was recorded on other data: {name} needs none, leave it out")
        self._data, self.run_ = data, run
        return self

    def _question(self, X: Any, y: Any) -> tuple[Samples, Samples]:
        check_is_fitted(self, "run_")
        return self._data, as_validation(X, y, self._data)

    def _trained_again(self) -> Replay:
        check_is_fitted(self, "run_")
        if self.learner is None:
            name = type(self).__name__
            raise TypeError(f"verify trains again, and so needs a learner: {name}(learner).fit(X, y)")
        return self.learner.prepare(*self._data.as_arguments(), run=self.run_)
