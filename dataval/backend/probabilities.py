"""Whether a model returns probabilities where its loss takes logits."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dataval.backend.contract import Backend
from dataval.backend.frameworks_losses import logits_of
from dataval.backend.losses import Loss
from dataval.data import to_numpy
from dataval.errors import ProbabilityOutputsWarning

__all__ = ["warn_probabilities"]

_MOVES = (1.0, -1.0, 3.0, -3.0)  # opposite directions: no logit stays within [0, 1] along both
_ROUNDING = 1e-3


def warn_probabilities(backend: Backend, loss: Loss, outputs: Any, batch: Any, class_axis: int) -> None:
    """Warn if outputs are probabilities, to which the loss applies a softmax or sigmoid again.

    Logits may look like probabilities where a model begins, but not at other parameters, which are tried only
    then.

    Parameters
    ----------
    backend : Backend
        Of the model.
    loss
        Its loss, as the caller gave it.
    outputs : array
        What the model returns for the batch at its own parameters.
    batch
        A few samples.
    class_axis : int
        Where the framework has the classes among the outputs' axes.
    """
    kind = logits_of(loss)
    if kind is None or not hasattr(outputs, "shape") or not _are_probabilities(outputs, kind, class_axis):
        return
    if all(_are_probabilities(moved, kind, class_axis) for moved in _elsewhere(backend, batch)):
        warnings.warn(
            f"the model returns probabilities, but its loss takes logits: the {kind} is applied twice, which "
            f"flattens the gradients. Leave the last {kind} out of the model",
            ProbabilityOutputsWarning,
            stacklevel=2,
        )


def _elsewhere(backend: Backend, batch: Any) -> list[Any]:
    own, buffers = backend.initial()
    parameters = backend.arrays.to_numpy(own)
    noise = np.random.default_rng(0).normal(size=parameters.shape)
    points = [backend.arrays.from_numpy(parameters + move * noise) for move in _MOVES]
    return [backend.predict(point, buffers, batch) for point in points]


def _are_probabilities(outputs: Any, kind: str, class_axis: int) -> bool:
    array = to_numpy(outputs)
    if not array.size or not (array >= 0).all():
        return False
    if kind == "sigmoid":
        return bool((array <= 1).all())
    return array.ndim > 1 and bool(np.allclose(array.sum(class_axis), 1, atol=_ROUNDING))
