"""Similarity of inputs, or of features of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dataval.checks import flag, one_of
from dataval.data import Samples
from dataval.errors import InvalidDataError
from dataval.methods.features import check_features, features_of, unit_rows
from dataval.methods.similarity import SimilarityValuator
from dataval.training.learner import Learner
from dataval.training.run import TrainingRun

__all__ = ["InputSimilarity"]

FloatArray = NDArray[np.float64]


class InputSimilarity(SimilarityValuator):
    r"""How alike the inputs of a training and a validation sample are.

    No model and no training: what any method that says where a prediction comes from has to beat. Values have
    no unit, and say that a sample is alike, not that it helps; with `signed`, those of another label than the
    validation sample's change their sign.

    Parameters
    ----------
    learner : Learner, optional
        What `verify` retrains; nothing else needs it.
    metric : {"cosine", "euclidean"}, default "cosine"
        The cosine of the inputs as vectors, in [-1, 1]; or :math:`1/(1 + \lVert x - x_j\rVert)`, in (0, 1].
    features : callable, optional
        A function of NumPy inputs (some samples at a time) that returns what to compare, ``(n, ...)``:
        an embedding. By default all numbers of the inputs.
    signed : bool, default False

    Attributes
    ----------
    run_ : TrainingRun or None

    References
    ----------
    Hanawa, Yokoi, Hara & Inui (2021). Evaluation of similarity-based explanations. ICLR.

    Examples
    --------
    >>> values = dv.InputSimilarity(signed=True).fit(X, y).score(X_val, y_val)
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        metric: Literal["cosine", "euclidean"] = "cosine",
        features: Callable[[Any], Any] | None = None,
        signed: bool = False,
    ) -> None:
        self.learner = learner
        self.metric = metric
        self.features = features
        self.signed = signed

    def fit(self, X: Any, y: Any = None, *, run: TrainingRun | None = None) -> Self:
        """Take the training samples, as `DataOnlyValuator.fit`, and find their features.

        Raises
        ------
        InvalidDataError
            If the inputs or features are no numbers.
        """
        one_of("metric", self.metric, ("cosine", "euclidean"))
        flag("signed", self.signed)
        check_features(self.features)
        super().fit(X, y, run=run)
        self._vectors = features_of(self._data, self.features)
        return self

    def _similarities(self, data: Samples, validation: Samples) -> FloatArray:
        mine, theirs = self._vectors, features_of(validation, self.features)
        if mine.shape[1] != theirs.shape[1]:
            raise InvalidDataError(
                f"the validation inputs X have {theirs.shape[1]} numbers a sample, the training inputs "
                f"{mine.shape[1]}: they must be as many"
            )
        if self.metric == "cosine":
            return unit_rows(theirs) @ unit_rows(mine).T
        squares = (theirs**2).sum(axis=1)[:, None] + (mine**2).sum(axis=1) - 2 * theirs @ mine.T
        return np.asarray(1 / (1 + np.sqrt(np.maximum(squares, 0))))
