"""Whether targets fit a named loss and the outputs of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    NamedLoss,
    TokenCrossEntropy,
    resolve_loss,
)
from dataval.data import Samples
from dataval.errors import InvalidDataError, InvalidModelError

__all__ = ["are_classes", "check_all_targets", "check_named_targets"]

Shape = tuple[int, ...]


def are_classes(loss: Loss) -> bool:
    """Whether a loss compares outputs with class labels."""
    return isinstance(resolve_loss(loss), CrossEntropy | TokenCrossEntropy)


def check_all_targets(loss: Loss, outputs: Any, data: Samples, class_axis: int) -> None:
    """Raise if targets of any sample don't fit a named loss; what isn't in memory is read some at a time.

    Parameters
    ----------
    loss, outputs, class_axis
        As for `check_named_targets`.
    data : Samples
        All of them.

    Raises
    ------
    InvalidDataError, InvalidModelError
    """
    if isinstance(resolve_loss(loss), NamedLoss):
        for start, targets in data.target_parts():
            check_named_targets(loss, outputs, targets, class_axis, start)


def check_named_targets(loss: Loss, outputs: Any, targets: Any, class_axis: int, start: int = 0) -> None:
    """Raise if targets don't fit a named loss and the outputs of the model.

    Parameters
    ----------
    loss
        A loss of the caller's own is not looked at.
    outputs
        What the model returned for some samples: one array of the framework, or it is named as what it is.
    targets : ndarray, shape (N, ...)
        Some or all of them; a tuple or dict is for losses of the caller's own.
    class_axis : int
        Where the framework has the classes among the outputs' axes.
    start : int, default 0
        The number of the first of them among all samples.

    Raises
    ------
    InvalidDataError, InvalidModelError
    """
    resolved = resolve_loss(loss)
    if not isinstance(resolved, NamedLoss):
        return
    if not hasattr(outputs, "shape"):
        raise InvalidModelError(
            f"the model returned a {type(outputs).__name__}; the loss {resolved.name!r} needs a tensor of "
            "outputs. Say which it is: Learner(outputs=lambda returned: returned.logits)"
        )
    if not isinstance(targets, np.ndarray):
        raise InvalidDataError(
            f"the loss {resolved.name!r} takes one array of targets, not a {type(targets).__name__} of them: "
            "pass a function (outputs, targets) -> one number a sample as the loss"
        )
    shape = tuple(map(int, outputs.shape))
    if isinstance(resolved, TokenCrossEntropy):
        _check_tokens(resolved, shape, targets, start)
    elif isinstance(resolved, CrossEntropy):
        _check_classes(resolved, shape, targets, class_axis, start)
    else:
        _check_same_shape(resolved, shape, targets)


def _check_classes(
    loss: CrossEntropy, outputs: Shape, targets: NDArray[Any], class_axis: int, start: int
) -> None:
    if targets.dtype.kind not in "iub":
        raise InvalidDataError(
            f"cross_entropy needs integer class labels, but y has dtype {targets.dtype}: use y.astype('int64')"
        )
    if len(outputs) < 2:
        raise InvalidModelError(
            f"cross_entropy needs outputs of shape (n, classes), the model returned {outputs}; "
            "for two classes and one logit use binary_cross_entropy"
        )
    n_classes, others = outputs[class_axis], list(outputs)
    if n_classes < 2:
        raise InvalidModelError(
            f"cross_entropy of one logit is 0 whatever the model does, which returned {outputs}: for two "
            "classes and one logit use binary_cross_entropy"
        )
    del others[class_axis]
    if tuple(others[1:]) != targets.shape[1:]:
        raise InvalidDataError(
            f"cross_entropy with outputs {outputs} needs labels of shape {('n', *others[1:])}, got "
            f"{('n', *targets.shape[1:])}"
        )
    _check_label_range(targets, n_classes, start)
    if loss.class_weights is not None and len(loss.class_weights) != n_classes:
        raise InvalidModelError(
            f"class_weights has {len(loss.class_weights)} entries, but the model has {n_classes} outputs"
        )


def _check_tokens(loss: TokenCrossEntropy, outputs: Shape, targets: NDArray[Any], start: int) -> None:
    if targets.dtype.kind not in "iu" or targets.ndim != 2:
        raise InvalidDataError(
            f"token_cross_entropy needs integer labels (n, tokens), but y is {targets.dtype}{targets.shape}"
        )
    if len(outputs) != 3:
        raise InvalidModelError(
            f"token_cross_entropy needs outputs of shape (n, tokens, classes), the model returned {outputs}"
        )
    _check_label_range(np.where(targets == loss.ignore_index, 0, targets), outputs[-1], start)


def _check_label_range(targets: NDArray[Any], n_classes: int, start: int) -> None:
    wrong = (targets < 0) | (targets >= n_classes)
    if wrong.any():
        at = int(np.argmax(wrong.reshape(len(targets), -1).any(axis=1)))
        raise InvalidDataError(
            f"label {targets[wrong].ravel()[0]} of sample {start + at} is out of range: the model has "
            f"{n_classes} outputs, so labels must lie in 0 ... {n_classes - 1}"
        )


def _check_same_shape(loss: NamedLoss, outputs: Shape, targets: NDArray[Any]) -> None:
    expected, given = outputs[1:], tuple(targets.shape[1:])
    if given not in {expected, expected[:-1] if expected[-1:] == (1,) else expected}:
        raise InvalidDataError(
            f"{loss.name} compares outputs of shape {('n', *expected)} with targets of shape "
            f"{('n', *given)}: make them equal"
        )
    if isinstance(loss, BinaryCrossEntropy) and not ((targets >= 0) & (targets <= 1)).all():
        raise InvalidDataError("binary_cross_entropy needs targets in [0, 1]")
