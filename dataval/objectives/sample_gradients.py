r"""The gradients of samples one by one, layer by layer, at a state: of an objective, or of the model's output.

What TRAK calls the model output function is, for a classifier, the log-odds of the label,
:math:`f = \log\frac{p}{1-p} = z_y - \log\sum_{c\ne y}e^{z_c}`, and the output itself for a regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Backend, ObjectiveFunction
from dataval.backend.layers import LayerGradients
from dataval.data import Data, Samples
from dataval.errors import InvalidDataError
from dataval.training.program import State

__all__ = ["ObjectiveGradients", "OutputGradients", "SampleGradients", "log_odds", "output_terms"]

FloatArray = NDArray[np.float64]


class SampleGradients(Protocol):
    """Something whose gradients in the parameters samples have."""

    def at(self, state: State, indices: NDArray[np.int64]) -> Sequence[LayerGradients]:
        """Return the gradients of some samples at a state."""


class ObjectiveGradients:
    """Of an objective, in evaluation mode.

    Parameters
    ----------
    backend : Backend
    data : Samples
    function : callable, optional
        The loss by default.
    """

    def __init__(self, backend: Backend, data: Samples, function: ObjectiveFunction | None = None) -> None:
        self._batches, self._objective = backend.batches(data), backend.objective(function)

    def at(self, state: State, indices: NDArray[np.int64]) -> Sequence[LayerGradients]:
        """Return the gradients of some samples at a state."""
        batch = self._batches.take(indices)
        return self._objective.layer_gradients(state.parameters, state.buffers, batch)


class OutputGradients:
    """Of the model output function, in evaluation mode.

    Parameters
    ----------
    backend : Backend
    data : Samples
    is_classifier : bool
        Whether targets are labels and outputs logits.
    """

    def __init__(self, backend: Backend, data: Samples, is_classifier: bool) -> None:
        self._backend, self._data, self._is_classifier = backend, data, is_classifier
        self._objective = backend.objective(_along)

    def at(self, state: State, indices: NDArray[np.int64]) -> Sequence[LayerGradients]:
        """Return the gradients of some samples at a state."""
        data = self._data.take(indices)
        outputs = self._outputs(state, data)
        cotangents = np.ones(outputs.shape)
        if self._is_classifier:
            cotangents = log_odds(outputs, _labels(data))[1]
        batch = self._backend.batches(Data(data.inputs, cotangents)).take(np.arange(len(data)))
        return self._objective.layer_gradients(state.parameters, state.buffers, batch)

    def terms(self, state: State, indices: NDArray[np.int64]) -> FloatArray:
        """Return minus the loss's slope in the model output function, ``(n,)``; see `output_terms`."""
        data = self._data.take(indices)
        return output_terms(self._outputs(state, data), data.targets, self._is_classifier)

    def _outputs(self, state: State, data: Data) -> FloatArray:
        batch = self._backend.batches(data).take(np.arange(len(data)))
        outputs = self._backend.predict(state.parameters, state.buffers, batch)
        if isinstance(outputs, tuple | list | dict):
            kind = type(outputs).__name__
            raise InvalidDataError(f"one array of outputs is needed, the model returned a {kind}")
        found = np.asarray(self._backend.arrays.to_numpy(outputs), dtype=np.float64)
        if found.ndim > 2 or (not self._is_classifier and found.size != len(data)):
            raise InvalidDataError(
                "a model output function needs outputs (n, classes) with one label a sample, or one number a "
                f"sample with a target that is one: the outputs have shape {found.shape}"
            )
        return found


def log_odds(outputs: FloatArray, labels: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    r"""Return :math:`\log\frac{p}{1-p}` of the labels, ``(n,)``, and its gradient in the outputs.

    Parameters
    ----------
    outputs : ndarray of float64, shape (n, C), (n, 1) or (n,)
        Logits; one number is the logit of label 1 against label 0.
    labels : ndarray of int64, shape (n,)
        Which logit is the label's.
    """
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        signs = np.where(labels == 1, 1.0, -1.0)
        return signs * outputs.reshape(-1), signs.reshape(outputs.shape)
    rows = np.arange(len(labels))
    others = outputs.copy()
    others[rows, labels] = -np.inf
    largest = others.max(axis=1, keepdims=True)
    exponentials = np.exp(others - largest)
    totals = exponentials.sum(axis=1, keepdims=True)
    gradients = -exponentials / totals
    gradients[rows, labels] = 1.0
    return outputs[rows, labels] - (np.log(totals) + largest)[:, 0], gradients


def output_terms(outputs: FloatArray, targets: NDArray[np.generic], is_classifier: bool) -> FloatArray:
    r"""Return :math:`1-p` of a classifier's labels, and a regression's residuals :math:`y - f`."""
    if not is_classifier:
        return np.asarray(targets.astype(np.float64).reshape(-1) - outputs.reshape(-1))
    odds = log_odds(outputs, targets.reshape(-1).astype(np.int64))[0]
    return np.exp(-np.logaddexp(0.0, odds))


def _labels(data: Data) -> NDArray[np.int64]:
    return np.asarray(data.targets.reshape(-1).astype(np.int64))


def _along(outputs: Any, cotangents: Any) -> Any:
    """Return the inner product of outputs and cotangents, in any framework.

    A backend tries its ways with the training targets, which stand for no cotangents: any function does then.
    """
    if len(outputs.shape) != len(cotangents.shape) or outputs.dtype != cotangents.dtype:
        cotangents = outputs
    if len(outputs.shape) == 1:
        return outputs * cotangents
    return (outputs[:, None, :] @ cotangents[:, :, None])[:, 0, 0]
