"""What `explain` asks: the queries, what the trained model says of them, and the samples to be attributed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.losses import Loss
from dataval.data import Data, Form, Samples, leaves
from dataval.data.sources import is_stream
from dataval.data.tensorflow_sets import is_pipeline
from dataval.errors import InvalidDataError
from dataval.methods.explanation import Explanation, Explanations, Ranking
from dataval.methods.matching import as_validation
from dataval.objectives.predictions import as_classifier, is_classification
from dataval.objectives.validation import CHUNK_SIZE, explained_failure
from dataval.training.faults import name_samples
from dataval.training.program import Program, State
from dataval.training.replay import Replay

__all__ = ["Predictions", "Queries", "Questions", "as_queries", "negative_output", "predict"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Queries:
    """Inputs whose predictions are to be explained.

    Attributes
    ----------
    inputs : ndarray, or nested tuples and dicts of ndarray
    truth : ndarray or None
        Their true targets, where given.
    n : int
    """

    inputs: Any
    truth: Any
    n: int


@dataclass(frozen=True)
class Predictions:
    """What the trained model says of queries.

    Attributes
    ----------
    found : ndarray of int64 or float64, shape (n,)
        Labels, or a regression's outputs.
    probabilities : ndarray of float64, shape (n, classes), or None
        Of a classifier.
    """

    found: NDArray[Any]
    probabilities: FloatArray | None

    @property
    def are_labels(self) -> bool:
        """Whether the model is a classifier."""
        return self.probabilities is not None


@dataclass(frozen=True)
class Questions:
    """Queries with their predicted labels, followed by those that are wrong with their true ones.

    Attributes
    ----------
    samples : Data
        What is attributed, all in one call.
    predictions : Predictions
    truth : ndarray, shape (n,), or None
    """

    samples: Data
    predictions: Predictions
    truth: NDArray[Any] | None

    @classmethod
    def of(cls, queries: Queries, predictions: Predictions, training: Samples) -> Questions:
        """Make them, with targets of the training targets' form.

        Raises
        ------
        InvalidDataError
            If the true targets are no such labels or values.
        """
        truth = None if queries.truth is None else _checked_truth(queries, predictions)
        everyone = np.arange(queries.n)
        wrong = everyone[:0]
        if truth is not None and predictions.are_labels:
            wrong = np.flatnonzero(truth != predictions.found)
        (form,) = _target_forms(training)
        targets = np.zeros((queries.n + len(wrong), *form.shape), dtype=form.dtype)
        if predictions.are_labels:  # a regression is asked about its output, which has no target
            labels = [predictions.found, *([] if truth is None else [truth[wrong]])]
            targets.reshape(-1)[:] = np.concatenate(labels)
        inputs = Data(queries.inputs, everyone).take(np.concatenate([everyone, wrong])).inputs
        return cls(Data(inputs, targets), predictions, truth)

    def answered(self, values: FloatArray, k: int, training: Samples, weights: FloatArray) -> Explanations:
        """Return the explanations that values ``(len(samples), N)`` give."""
        n = len(self.predictions.found)
        counts = weights != 0
        for_predicted, for_true = values[:n], self._of_truth(values)
        each = []
        for i in range(n):
            both = None if for_true is None else (for_true[i], self._contrast(for_predicted[i], for_true[i]))
            rankings = [Ranking.of(row, k, counts) for row in (for_predicted[i], *(both or ()))]
            each.append(self._explanation(i, *rankings))
        queries = Data(self.samples.take(np.arange(n)).inputs, self.predictions.found)
        return Explanations(tuple(each), queries, training)

    def _of_truth(self, values: FloatArray) -> list[FloatArray] | None:
        """Return each query's values for its true target; a regression's for being near to it."""
        if self.truth is None:
            return None
        found, n = self.predictions.found, len(self.predictions.found)
        if not self.predictions.are_labels:
            return list(-np.sign(found - self.truth)[:, None] * values)
        rows = np.arange(n)
        wrong = np.flatnonzero(self.truth != found)
        rows[wrong] = n + np.arange(len(wrong))
        return [values[row] for row in rows]

    def _contrast(self, for_predicted: FloatArray, for_true: FloatArray) -> FloatArray:
        return for_predicted - for_true if self.predictions.are_labels else -for_true

    def _explanation(
        self, i: int, for_predicted: Ranking, for_true: Ranking | None = None, contrast: Ranking | None = None
    ) -> Explanation:
        probabilities = self.predictions.probabilities
        return Explanation(
            self.predictions.found[i].item(),
            None if probabilities is None else probabilities[i],
            None if self.truth is None else self.truth[i].item(),
            for_predicted,
            for_true,
            contrast,
        )


def as_queries(X: Any, y_true: Any, training: Samples) -> Queries:
    """Return queries, checked; a data set yields them with their true targets.

    Raises
    ------
    InvalidDataError
        If they can't be used, or are shaped otherwise than the training inputs.
    """
    has_targets = y_true is not None or isinstance(X, Samples) or is_stream(X) or is_pipeline(X)
    given = as_validation(X, y_true if has_targets else _placeholder(X), training, "query")
    data = given.take(np.arange(len(given)))
    return Queries(data.inputs, data.targets if has_targets else None, len(data))


def predict(replay: Replay, queries: Queries, loss: Loss, method: str) -> Predictions:
    """Return what the model says of queries at the end of training, in evaluation mode.

    Raises
    ------
    TypeError
        If a sample has several targets, or the model several outputs that are no classes.
    InvalidDataError
        If the model fails on the queries, or an output is not finite.
    """
    program = replay.program
    forms = _target_forms(program.data)
    if len(forms) != 1 or np.prod(forms[0].shape) != 1:
        raise TypeError(
            f"{method}.explain needs one label or value a sample, the training targets have several: ask "
            f"{method}(learner, objective=...).attribute(X, y) about one of them"
        )
    is_classifier = is_classification(forms[0].dtype, loss)
    outputs = _outputs(program, replay.final, queries)
    if outputs.ndim > 2 or not (is_classifier or outputs.size == queries.n):
        raise TypeError(
            f"{method}.explain needs one output a sample, or one a class, the model's have shape "
            f"{('n', *outputs.shape[1:])}: ask {method}(learner, objective=lambda outputs, targets: "
            "-outputs[:, 0]).attribute(X, y) what raised one of them"
        )
    if is_classifier:
        said = as_classifier(outputs)
        return Predictions(said.predict(outputs).astype(np.int64), said.predict_proba(outputs))
    return Predictions(outputs.reshape(-1).astype(np.float64), None)


def negative_output(outputs: Any, targets: Any) -> Any:
    """Return minus a regression's output ``(n,)``, in any framework: an objective that a high output lowers."""
    return -outputs if len(outputs.shape) == 1 else -outputs[:, 0]


def _placeholder(X: Any) -> NDArray[np.float64]:
    """Return targets for inputs that have none."""
    try:
        return np.zeros(len(next(leaf for _, leaf in leaves(X))))
    except (StopIteration, TypeError):  # nothing, or a single number: refused with the inputs
        return np.zeros(1)


def _target_forms(training: Samples) -> list[Form]:
    return [form for name, form in training.form().items() if name.startswith("y")]


def _outputs(program: Program, state: State, queries: Queries) -> NDArray[Any]:
    backend = program.backend
    batches = backend.batches(Data(queries.inputs, np.zeros(queries.n, dtype=np.int64)))
    starts = range(0, queries.n, CHUNK_SIZE)
    chunks = [np.arange(start, min(queries.n, start + CHUNK_SIZE)) for start in starts]
    with explained_failure("query"):
        parts = [backend.predict(state.parameters, state.buffers, batches.take(chunk)) for chunk in chunks]
    if isinstance(parts[0], tuple | list | dict):
        raise TypeError(
            f"the model returned a {type(parts[0]).__name__}: pass Learner(outputs=...), which picks the logits"
        )
    outputs = np.concatenate([backend.arrays.to_numpy(part) for part in parts])
    bad = np.flatnonzero(~np.isfinite(outputs.reshape(queries.n, -1)).all(axis=1))
    if len(bad):
        raise InvalidDataError(f"query {name_samples(bad)}: an output of the model is not finite")
    return np.asarray(outputs)


def _checked_truth(queries: Queries, predictions: Predictions) -> NDArray[Any]:
    """Return true labels or values ``(n,)``."""
    truth = np.asarray(queries.truth) if not isinstance(queries.truth, tuple | dict) else np.zeros(0)
    if truth.size != queries.n:
        raise InvalidDataError(f"y_true must be one label or value a query, {queries.n} in all")
    truth = truth.reshape(-1)
    if predictions.probabilities is None:
        return truth.astype(np.float64)
    n_classes = predictions.probabilities.shape[1]
    bad = np.flatnonzero((truth != np.round(truth)) | (truth < 0) | (truth >= n_classes))
    if len(bad):
        raise InvalidDataError(
            f"y_true must be whole numbers from 0 to {n_classes - 1}, the labels of the model's classes: "
            f"query {bad[0]} has {truth[bad[0]]}"
        )
    return truth.astype(np.int64)
