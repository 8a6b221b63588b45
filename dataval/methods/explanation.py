"""Which training samples made a model predict what it does: the answer to one question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.losses import BinaryCrossEntropy, CrossEntropy, resolve_loss
from dataval.checks import whole_number
from dataval.data import Samples, as_data, first_leaf
from dataval.errors import InvalidDataError
from dataval.objectives.logits import probabilities
from dataval.training.program import Program, State

__all__ = ["Explanation", "Explanations", "Predictions", "predict", "true_labels"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of some samples.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
    probabilities : ndarray of float64, shape (n, classes)
    """

    labels: Indices
    probabilities: FloatArray


@dataclass(frozen=True)
class Explanation:
    """Which training samples speak for one prediction, and which against it.

    Attributes
    ----------
    predicted : int
        The label that the model gives the query.
    probability : float
        What it gives it.
    true : int or None
        The label that the query has, where it was given.
    helpful, harmful : ndarray of int64, shape (k,)
        Indices of the training samples with the largest and the smallest values for the predicted label, the
        most extreme first. Without a helpful one the model would be less sure of it.
    helpful_values, harmful_values : ndarray of float64, shape (k,)
        Their values, in the unit of the loss.
    values : ndarray of float64, shape (N,)
        Of all training samples for the predicted label.
    contrast : ndarray of float64, shape (N,) or None
        Values for the predicted label minus those for the true one, where that is given: large for samples that
        moved the decision from the true label to the predicted one.
    """

    predicted: int
    probability: float
    true: int | None
    helpful: Indices
    harmful: Indices
    helpful_values: FloatArray
    harmful_values: FloatArray
    values: FloatArray
    contrast: FloatArray | None

    def __str__(self) -> str:
        """Return a few lines to read."""
        lines = [f"predicted {self.predicted} ({self.probability:.0%})" + self._truth()]
        for name, indices, values in (
            ("helpful", self.helpful, self.helpful_values),
            ("harmful", self.harmful, self.harmful_values),
        ):
            found = ", ".join(f"{i} ({value:+.3g})" for i, value in zip(indices, values, strict=True))
            lines.append(f"  {name}: {found or 'none'}")
        return "\n".join(lines)

    def misleading(self, k: int = 5) -> Indices:
        """Return the k samples that most moved the decision from the true label to the predicted one.

        Raises
        ------
        ValueError
            If no true label was given.
        """
        if self.contrast is None:
            raise ValueError("give the true labels: method.explain(X, y_true)")
        return _most(self.contrast, whole_number("k", k, minimum=1))

    def _truth(self) -> str:
        return "" if self.true is None else f", truly {self.true}"


@dataclass(frozen=True)
class Explanations:
    """Explanations of several queries, one each; index or iterate.

    Attributes
    ----------
    each : tuple of Explanation
    queries : Samples
        With the predicted labels as targets.
    training : Samples
        That the indices count.
    """

    each: tuple[Explanation, ...]
    queries: Samples
    training: Samples

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, index: int) -> Explanation:
        return self.each[index]

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.each)

    def __str__(self) -> str:
        """Return a few lines for each query."""
        return "\n".join(f"query {i}: {each}" for i, each in enumerate(self.each))

    @classmethod
    def of_values(
        cls,
        predictions: Predictions,
        values: FloatArray,
        of_truth: FloatArray | None,
        truth: Indices | None,
        k: int,
        queries: Samples,
        training: Samples,
    ) -> Explanations:
        """Make explanations from values ``(n, N)`` for the predicted labels, and for the true ones."""
        found = []
        for i, (label, row) in enumerate(zip(predictions.labels, values, strict=True)):
            helpful, harmful = _most(row, k), _most(-row, k)
            found.append(
                Explanation(
                    predicted=int(label),
                    probability=float(predictions.probabilities[i, label]),
                    true=None if truth is None else int(truth[i]),
                    helpful=helpful[row[helpful] > 0],
                    harmful=harmful[row[harmful] < 0],
                    helpful_values=row[helpful[row[helpful] > 0]],
                    harmful_values=row[harmful[row[harmful] < 0]],
                    values=row,
                    contrast=None if of_truth is None else row - of_truth[i],
                )
            )
        return cls(tuple(found), queries, training)


def predict(program: Program, state: State, X: Any, method: str) -> tuple[Predictions, Samples]:
    """Return a classifier's predictions of some inputs, and the samples with these as their targets.

    Raises
    ------
    TypeError
        If the loss is no cross-entropy: there is no label to explain.
    """
    loss = resolve_loss(program.backend.described_loss)
    if not isinstance(loss, CrossEntropy | BinaryCrossEntropy):
        raise TypeError(
            f"{method}.explain needs a classifier, one with a cross-entropy as its loss: for a regression ask "
            f"{method}(learner, objective=lambda outputs, targets: outputs[:, 0]).attribute(X, y) what moved "
            "an output"
        )
    given = as_data(X, np.zeros(len(first_leaf(X)), dtype=np.int64), "query")
    batch = program.backend.batches(given).take(np.arange(len(given)))
    outputs = program.backend.arrays.to_numpy(program.backend.predict(state.parameters, state.buffers, batch))
    logits = outputs.reshape(len(outputs), -1).astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    found = Predictions(logits.argmax(axis=1).astype(np.int64), probabilities(logits))
    return found, as_data(X, found.labels, "query")


def true_labels(y_true: Any, predictions: Predictions) -> Indices:
    """Return the true labels, checked."""
    found = np.asarray(y_true)
    n, n_classes = predictions.probabilities.shape
    is_whole = found.shape == (n,) and found.dtype.kind in "iub"
    if not is_whole or not ((found >= 0) & (found < n_classes)).all():
        raise InvalidDataError(f"y_true must be {n} integer labels from 0 to {n_classes - 1}")
    return found.astype(np.int64)


def _most(values: FloatArray, k: int) -> Indices:
    """Return the indices of the k largest values, the first of equal ones first; NaN is none."""
    ranked = np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")
    return np.asarray(ranked[: min(k, int(np.isfinite(values).sum()))])
