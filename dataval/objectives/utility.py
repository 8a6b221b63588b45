"""What a trained model is judged by: its validation loss, its accuracy, or any scorer.

A *utility* is any number for a trained model. An *objective* is a differentiable function of the outputs, in
evaluation mode; its mean over the validation samples is the utility ``"loss"``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Backend, ObjectiveFunction
from dataval.backend.losses import Loss
from dataval.data import Samples, concatenated
from dataval.errors import InvalidDataError
from dataval.objectives.predictions import as_estimator
from dataval.objectives.validation import CHUNK_SIZE, ValidationObjective
from dataval.training.program import State

__all__ = [
    "PredictionUtility",
    "SampleObjectives",
    "SeveralUtilities",
    "StateFunction",
    "Utility",
    "UtilityLike",
    "check_utility",
    "make_utility",
]

FloatArray = NDArray[np.float64]
UtilityFunction = Callable[[NDArray[Any], NDArray[Any]], float]
UtilityLike = str | UtilityFunction


class StateFunction(Protocol):
    """What is evaluated at the end of a run: a utility, several, or the objective of every sample."""

    def value(self, state: State) -> FloatArray:
        """Return a number or an array; for a state with a leading axis, one an entry along it."""


class Utility(Protocol):
    """One number for a trained state.

    Attributes
    ----------
    name : str
        What tables call it.
    function : callable or None
        What is evaluated, where it is a function; the name says all where it is None.
    greater_is_better : bool
        False for losses. The value of a sample is the utility with it minus that without it where greater is
        better, and the reverse where it isn't: positive always means that the sample helps.
    """

    name: str
    function: Any
    greater_is_better: bool

    def value(self, state: State) -> FloatArray:
        """Return the utility, shape ``()``, or ``(K,)`` for a state with a leading axis."""


class PredictionUtility:
    """A utility of the model's predictions on validation samples, where greater is better.

    Parameters
    ----------
    backend : Backend
    data : Samples
        The validation samples.
    function : callable
        (outputs, targets) -> number, on NumPy arrays.
    name : str

    Raises
    ------
    InvalidDataError
        If the function fails on the validation samples.
    """

    greater_is_better = True

    def __init__(self, backend: Backend, data: Samples, function: UtilityFunction, name: str) -> None:
        self.name = name
        self._backend = backend
        self._batches = backend.batches(data)
        self._targets = concatenated([targets for _, targets in data.target_parts()])
        self._n = len(data)
        self.function = function
        self._probe()

    def value(self, state: State) -> FloatArray:
        """Return the score at a state, shape ``()``, or ``(K,)`` for a state with a leading axis.

        NaN where an output is not finite: predictions made of it would mean nothing.
        """
        if state.parameters.ndim == 1:
            return np.array(self._utility(state.parameters, state.buffers))
        rows = zip(state.parameters, state.buffers, strict=True)
        return np.array([self._utility(parameters, buffers) for parameters, buffers in rows])

    def _utility(self, parameters: Any, buffers: Any) -> float:
        outputs = self._outputs(parameters, buffers)
        return float(self.function(outputs, self._targets)) if np.isfinite(outputs).all() else np.nan

    def _outputs(self, parameters: Any, buffers: Any) -> NDArray[Any]:
        starts = range(0, self._n, CHUNK_SIZE)
        chunks = (np.arange(start, min(self._n, start + CHUNK_SIZE)) for start in starts)
        outputs = [self._backend.predict(parameters, buffers, self._batches.take(chunk)) for chunk in chunks]
        return np.concatenate([self._backend.arrays.to_numpy(part) for part in outputs])

    def _probe(self) -> None:
        try:
            self._utility(*self._backend.initial())
        except Exception as error:
            raise InvalidDataError(
                f"the utility {self.name!r} failed on the validation samples: {error}"
            ) from error


class SeveralUtilities:
    """Several utilities of the same state, along a last axis.

    Parameters
    ----------
    utilities : sequence of Utility
    """

    def __init__(self, utilities: Sequence[Utility]) -> None:
        self._utilities = utilities

    def value(self, state: State) -> FloatArray:
        """Return all utilities, shape ``(U,)``, or ``(K, U)`` for a state with a leading axis."""
        return np.stack([utility.value(state) for utility in self._utilities], axis=-1)


class SampleObjectives:
    """A validation objective of every single validation sample.

    Parameters
    ----------
    objective : ValidationObjective
    """

    def __init__(self, objective: ValidationObjective) -> None:
        if objective.is_scalar:
            raise TypeError(
                "the objective returns a single number for all samples: attribute needs one number a sample"
            )
        self._objective = objective

    def value(self, state: State) -> FloatArray:
        """Return the objectives, shape ``(n,)``, or ``(K, n)`` for a state with a leading axis."""
        return self._objective.values(state)


def make_utility(
    utility: UtilityLike,
    backend: Backend,
    validation: Samples,
    *,
    objective: ObjectiveFunction | None = None,
    loss: Loss | None = None,
) -> Utility:
    """Build what a `utility` argument stands for.

    Parameters
    ----------
    utility : str or callable
        ``"loss"`` (the objective, averaged over the validation samples; less is better); ``"accuracy"``; a
        name of a scikit-learn scorer (`sklearn.metrics.get_scorer_names`); or a function
        (outputs, targets) -> number on NumPy arrays, where greater is better.
    backend : Backend
        Of the model that is judged.
    validation : Samples
        What it is judged on.
    objective : callable, optional
        What ``"loss"`` stands for, as in `HyDRA`; the learner's loss by default.
    loss : str, NamedLoss or callable, optional
        The learner's loss, which tells scikit-learn's scorers whether outputs are logits or predictions; by
        default the targets tell.

    Returns
    -------
    Utility

    Raises
    ------
    ValueError
        If a name is unknown, or an objective comes with another utility than "loss".
    TypeError
        If it is neither a name nor callable.
    InvalidDataError
        If it can't be evaluated on the validation samples.
    """
    if utility == "loss":
        return ValidationObjective(backend, validation, objective)
    if objective is not None:
        raise ValueError(f"objective is what utility='loss' averages; with utility={utility!r} leave it out")
    if isinstance(utility, str):
        function = _accuracy if utility == "accuracy" else _scorer(utility, loss)
        return PredictionUtility(backend, validation, function, utility)
    if not callable(utility):
        raise TypeError(f"utility must be a name or a function (outputs, targets) -> number, got {utility!r}")
    return PredictionUtility(
        backend, validation, utility, getattr(utility, "__qualname__", type(utility).__qualname__)
    )


def check_utility(utility: UtilityLike) -> None:
    """Raise `ValueError` if this is a name that no utility has."""
    if not isinstance(utility, str) or utility in {"loss", "accuracy"}:
        return
    from sklearn.metrics import get_scorer_names

    if utility not in get_scorer_names():
        raise ValueError(
            f"unknown utility {utility!r}: choose 'loss', 'accuracy', one of "
            "sklearn.metrics.get_scorer_names(), or pass a function (outputs, targets) -> number"
        )


def _accuracy(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
    """Share of samples whose class has the largest output (of labels whose logit has their sign)."""
    if outputs.ndim > targets.ndim and outputs.shape[1] > 1:
        found = outputs.argmax(axis=1)
    else:
        found = outputs.reshape(targets.shape) > 0
    return float((found == targets).mean())


def _scorer(name: str, loss: Loss | None) -> UtilityFunction:
    from sklearn.metrics import get_scorer

    check_utility(name)
    scorer = get_scorer(name)

    def utility(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
        estimator = as_estimator(outputs, targets, loss)
        return float(scorer(estimator, np.arange(len(targets))[:, None], targets))

    return utility
