"""The losses that have a name, described without any framework; each backend computes them.

A per-sample loss is one number a sample: where a sample has several outputs (a sequence of tokens, an
image of labels, several targets) it is their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dataval.errors import UnknownIdentityError
from dataval.identity import identity, is_comparable
from dataval.options import Options

__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Loss",
    "LossFunction",
    "MeanSquaredError",
    "NamedLoss",
    "TokenCrossEntropy",
    "describe_loss",
    "identify_loss",
    "is_same_loss",
    "resolve_loss",
]


def _weighed(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not weights or min(weights) < 0 or max(weights) == 0:
        raise ValueError(f"must be one number from 0 a class, not all of them 0, got {weights}")
    return weights


class NamedLoss(Options):
    """Base of the losses that every backend knows."""

    name: str


class CrossEntropy(NamedLoss):
    """Softmax cross-entropy of logits against integer class labels.

    Parameters
    ----------
    label_smoothing : float, default 0
        In [0, 1): share of the target distribution that is spread evenly over all classes.
    class_weights : sequence of float, optional
        One weight a class, multiplying the loss of its samples. Unlike ``torch.nn.CrossEntropyLoss`` with
        mean reduction, the batch is not divided by the sum of the weights: a sample's loss must not
        depend on its neighbours.
    """

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Annotated[tuple[float, ...], AfterValidator(_weighed)] | None = None


class TokenCrossEntropy(NamedLoss):
    r"""Softmax cross-entropy of a sequence of tokens, of which some don't count.

    Outputs are logits ``(n, L, classes)``, with the classes last as language models have them on every
    framework; labels are integers ``(n, L)``. A sample none of whose tokens count has the loss 0.

    Parameters
    ----------
    ignore_index : int, default -100
        The label of tokens that don't count.
    reduction : {"sum", "mean"}, default "sum"
        Whether a sample's loss is the sum over its tokens that count, or their mean. A loop that divides by the
        number of tokens of an update minimises a multiple of the sum.
    shift : bool, default False
        Compare the logits at each token with the label of the next one, as causal language models are trained:
        then labels may be the tokens themselves.
    """

    name: Literal["token_cross_entropy"] = "token_cross_entropy"
    ignore_index: int = -100
    reduction: Literal["sum", "mean"] = "sum"
    shift: bool = False


class BinaryCrossEntropy(NamedLoss):
    """Sigmoid cross-entropy of logits against 0/1 labels (or probabilities).

    Outputs have the shape of the labels, or one trailing axis of length 1 more.

    Parameters
    ----------
    label_smoothing : float, default 0
        In [0, 1): labels become ``y (1 - s) + s / 2``.
    class_weights : (float, float), optional
        Weights of the classes 0 and 1.
    """

    name: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Annotated[tuple[float, float], AfterValidator(_weighed)] | None = None


class MeanSquaredError(NamedLoss):
    """Squared error, averaged over a sample's outputs.

    Outputs have the shape of the targets, or one trailing axis of length 1 more.
    """

    name: Literal["mse"] = "mse"


LossFunction = Callable[[Any, Any], Any]
Outputs = Callable[[Any], Any] | None
Loss = str | NamedLoss | LossFunction

_BY_NAME: dict[str, type[NamedLoss]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mse": MeanSquaredError,
    "token_cross_entropy": TokenCrossEntropy,
}


def resolve_loss(loss: Loss) -> NamedLoss | LossFunction:
    """Return what a loss argument stands for: a named loss with its options, or the caller's function.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name, a loss of this module nor callable.
    """
    if isinstance(loss, str):
        if loss not in _BY_NAME:
            raise ValueError(
                f"unknown loss {loss!r}: choose one of {sorted(_BY_NAME)}, or pass a function "
                "(outputs, targets) -> per-sample losses"
            )
        return _BY_NAME[loss]()  # type: ignore[call-arg]
    if isinstance(loss, NamedLoss) or callable(loss):
        return loss
    raise TypeError(f"loss must be a name or a function (outputs, targets) -> (n,), got {loss!r}")


def identify_loss(loss: Loss, outputs: Outputs = None) -> str:
    """Return a text that tells two losses apart: options and all, or a name and an `identity`.

    Parameters
    ----------
    loss
        A loss.
    outputs : callable, optional
        What is applied to a model's outputs before the loss.

    Raises
    ------
    UnknownIdentityError
        If a function holds what can't be read.
    """
    resolved = resolve_loss(loss)
    if isinstance(resolved, NamedLoss) and outputs is None:
        return resolved.model_dump_json()
    described = resolved.model_dump_json() if isinstance(resolved, NamedLoss) else resolved
    return f"{_name(loss, outputs)}#{identity(described if outputs is None else (described, outputs))}"


def describe_loss(loss: Loss, outputs: Outputs = None) -> str:
    """Return what a recorded run keeps of its loss: as `identify_loss`, or a name alone where that fails."""
    try:
        return identify_loss(loss, outputs)
    except UnknownIdentityError:
        return _name(loss, outputs)


def is_same_loss(recorded: str, mine: str) -> bool:
    """Whether two descriptions may be of one loss.

    Only the names are compared where one has no identity (of a run recorded by an earlier version), or was
    found by another version of Python.
    """
    (name, _, left), (other, _, right) = recorded.partition("#"), mine.partition("#")
    if left and right and is_comparable(left, right):
        return left == right
    return name == other


def _name(loss: Loss, outputs: Outputs) -> str:
    resolved = resolve_loss(loss)
    text = resolved.model_dump_json() if isinstance(resolved, NamedLoss) else _name_of(resolved)
    return text if outputs is None else f"{text} of {_name_of(outputs)}"


def _name_of(function: Any) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function))}"
