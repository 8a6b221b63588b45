"""Similarity of inputs, or of features of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dataval.checks import described, flag, one_of
from dataval.data import Data, Samples, leaves
from dataval.errors import InvalidDataError
from dataval.methods.similarity import SimilarityValuator, parts_of
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
        if self.features is not None and not callable(self.features):
            raise TypeError(f"features must be a function of the inputs, got {described(self.features)}")
        super().fit(X, y, run=run)
        self._vectors = self._all_features(self._data)
        return self

    def _similarities(self, data: Samples, validation: Samples) -> FloatArray:
        mine, theirs = self._vectors, self._all_features(validation)
        if mine.shape[1] != theirs.shape[1]:
            raise InvalidDataError(
                f"the validation inputs X have {theirs.shape[1]} numbers a sample, the training inputs "
                f"{mine.shape[1]}: they must be as many"
            )
        if self.metric == "cosine":
            return _unit(theirs) @ _unit(mine).T
        squares = (theirs**2).sum(axis=1)[:, None] + (mine**2).sum(axis=1) - 2 * theirs @ mine.T
        return np.asarray(1 / (1 + np.sqrt(np.maximum(squares, 0))))

    def _all_features(self, data: Samples) -> FloatArray:
        return np.concatenate([self._features(part) for part in parts_of(data)])

    def _features(self, data: Data) -> FloatArray:
        n = len(data)
        if self.features is None:
            arrays = [array for _, array in leaves(data.inputs, "X")]
        else:
            arrays = [np.asarray(self.features(data.inputs))]
            if arrays[0].shape[:1] != (n,):
                raise InvalidDataError(f"features returned shape {arrays[0].shape} for {n} samples of X")
        if any(array.dtype.kind not in "biuf" for array in arrays):
            raise InvalidDataError(
                "the inputs X are no numbers: give features, a function that makes them such"
            )
        found = np.concatenate([array.reshape(n, -1).astype(np.float64) for array in arrays], axis=1)
        if not np.isfinite(found).all():
            raise InvalidDataError("features returned numbers that are not finite")
        return found


def _unit(rows: FloatArray) -> FloatArray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms == 0, 1.0, norms))
