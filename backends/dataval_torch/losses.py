"""The named losses on torch tensors, and the checks of a caller's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dataval.backend.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    LossFunction,
    NamedLoss,
    resolve_loss,
)
from dataval.errors import InvalidDataError, InvalidModelError

__all__ = [
    "PerSample",
    "check_differentiable",
    "check_losses",
    "check_named_targets",
    "check_repeatable",
    "check_tensor",
    "per_sample_loss",
    "target_dtype",
]

PerSample = Callable[[Any, Tensor], Tensor]


def per_sample_loss(loss: Loss) -> PerSample:
    """Return a function (outputs, targets) -> per-sample losses ``(n,)``."""
    resolved = resolve_loss(loss)
    if not isinstance(resolved, NamedLoss):
        return resolved
    if isinstance(resolved, CrossEntropy):
        return lambda outputs, targets: _cross_entropy(resolved, outputs, targets)
    if isinstance(resolved, BinaryCrossEntropy):
        return lambda outputs, targets: _binary_cross_entropy(resolved, outputs, targets)
    return lambda outputs, targets: _sample_mean((_like(outputs, targets) - targets) ** 2)


def target_dtype(loss: Loss, targets: NDArray[Any], dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that targets are handed to the loss in."""
    if targets.dtype.kind == "f" or (isinstance(resolve_loss(loss), NamedLoss) and not _is_classes(loss)):
        return dtype
    return torch.int64


def check_losses(losses: object, n: int) -> None:
    """Raise if what a caller's loss returned is not one number a sample, tied to the parameters."""
    if not isinstance(losses, Tensor):
        raise InvalidModelError(f"the loss returned a {type(losses).__name__}, not a tensor")
    if losses.ndim == 0:
        raise InvalidModelError(
            "the loss returned a single number: data valuation needs one loss a sample, shape (n,). "
            "Use reduction='none', and average over a sample's own outputs only"
        )
    if tuple(losses.shape) != (n,):
        raise InvalidModelError(
            f"the loss returned shape {tuple(losses.shape)} for {n} samples: it must be ({n},)"
        )
    if not losses.requires_grad:
        raise InvalidModelError(
            "the loss does not depend on the trained parameters: is a result detached, or computed under "
            "torch.no_grad()?"
        )
    if not torch.isfinite(losses).all():
        raise InvalidModelError(
            f"the losses of the first {n} samples are {losses.tolist()} before training has begun: look at the "
            "scale of the inputs, or at a logarithm or division in the model or the loss"
        )


def check_tensor(outputs: object, what: str) -> Tensor:
    """Return a model's outputs, or raise if they are not one tensor."""
    if not isinstance(outputs, Tensor):
        raise InvalidModelError(f"{what} needs a model that returns a tensor, not a {type(outputs).__name__}")
    return outputs


def check_differentiable(objective: Tensor) -> None:
    """Raise if an objective has no gradient."""
    if not objective.requires_grad:
        raise InvalidModelError(
            "the objective does not depend on the trained parameters in a differentiable way (a count of "
            "correct predictions does not): use a smooth one, such as the loss"
        )


def check_repeatable(losses: Tensor, again: Tensor) -> None:
    """Raise if the same forward pass done twice differs by more than rounding."""
    tolerance = torch.finfo(losses.dtype).eps ** 0.5
    if not torch.allclose(losses, again, rtol=tolerance, atol=tolerance):
        raise InvalidModelError(
            "the model gives other losses when it is run again under the same seed: it draws random numbers "
            "that no seed controls (Python's, NumPy's or a generator of its own), or keeps a state that is no "
            "buffer. Draw them from torch's global generator, or register the state as a buffer"
        )


def check_named_targets(loss: Loss, outputs: Any, targets: NDArray[Any]) -> None:
    """Raise if targets don't fit a named loss and the outputs of the model."""
    resolved = resolve_loss(loss)
    if not isinstance(resolved, NamedLoss):
        return
    if not isinstance(outputs, Tensor):
        raise InvalidModelError(
            f"the model returned a {type(outputs).__name__}; the loss {resolved.name!r} needs a tensor of "
            "outputs. Pass a function instead: loss=lambda outputs, targets: ..."
        )
    if isinstance(resolved, CrossEntropy):
        _check_classes(resolved, outputs, targets)
    else:
        _check_same_shape(resolved, outputs, targets)


def _is_classes(loss: Loss | LossFunction) -> bool:
    return isinstance(resolve_loss(loss), CrossEntropy)


def _cross_entropy(loss: CrossEntropy, outputs: Tensor, targets: Tensor) -> Tensor:
    weight = None if loss.class_weights is None else outputs.new_tensor(loss.class_weights)
    losses = nn.functional.cross_entropy(
        outputs, targets, weight=weight, reduction="none", label_smoothing=loss.label_smoothing
    )
    return _sample_mean(losses)


def _binary_cross_entropy(loss: BinaryCrossEntropy, outputs: Tensor, targets: Tensor) -> Tensor:
    smooth = targets * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    losses = nn.functional.binary_cross_entropy_with_logits(_like(outputs, targets), smooth, reduction="none")
    if loss.class_weights is not None:
        negative, positive = loss.class_weights
        losses = losses * (negative + (positive - negative) * targets)
    return _sample_mean(losses)


def _sample_mean(losses: Tensor) -> Tensor:
    return losses if losses.ndim == 1 else losses.flatten(1).mean(1)


def _like(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.reshape(targets.shape)


def _check_classes(loss: CrossEntropy, outputs: Tensor, targets: NDArray[Any]) -> None:
    if targets.dtype.kind not in "iub":
        raise InvalidDataError(
            f"cross_entropy needs integer class labels, but y has dtype {targets.dtype}: use y.astype('int64')"
        )
    if outputs.ndim < 2:
        raise InvalidModelError(
            f"cross_entropy needs outputs of shape (n, classes), the model returned {tuple(outputs.shape)}; "
            "for two classes and one logit use binary_cross_entropy"
        )
    if (len(outputs), *outputs.shape[2:]) != (len(outputs), *targets.shape[1:]):
        raise InvalidDataError(
            f"cross_entropy with outputs {tuple(outputs.shape)} needs labels of shape "
            f"{('n', *outputs.shape[2:])}, got {('n', *targets.shape[1:])}"
        )
    _check_label_range(targets, n_classes := outputs.shape[1])
    if loss.class_weights is not None and len(loss.class_weights) != n_classes:
        raise InvalidModelError(
            f"class_weights has {len(loss.class_weights)} entries, but the model has {n_classes} outputs"
        )


def _check_label_range(targets: NDArray[Any], n_classes: int) -> None:
    wrong = (targets < 0) | (targets >= n_classes)
    if wrong.any():
        at = int(np.argmax(wrong.reshape(len(targets), -1).any(axis=1)))
        raise InvalidDataError(
            f"label {targets[wrong].ravel()[0]} of sample {at} is out of range: the model has {n_classes} "
            f"outputs, so labels must lie in 0 ... {n_classes - 1}"
        )


def _check_same_shape(loss: NamedLoss, outputs: Tensor, targets: NDArray[Any]) -> None:
    expected = tuple(outputs.shape[1:])
    given = tuple(targets.shape[1:])
    if given not in {expected, expected[:-1] if expected[-1:] == (1,) else expected}:
        raise InvalidDataError(
            f"{loss.name} compares outputs of shape {('n', *expected)} with targets of shape "
            f"{('n', *given)}: make them equal"
        )
    if isinstance(loss, BinaryCrossEntropy) and not ((targets >= 0) & (targets <= 1)).all():
        raise InvalidDataError("binary_cross_entropy needs targets in [0, 1]")
