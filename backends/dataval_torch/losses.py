"""The named losses on torch tensors, and the checks of a caller's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dataval.backend.frameworks_losses import check_reduction, in_our_order
from dataval.backend.loss_trial import check_closed
from dataval.backend.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Loss,
    LossFunction,
    NamedLoss,
    TokenCrossEntropy,
    resolve_loss,
)
from dataval.backend.targets import are_classes
from dataval.errors import InvalidModelError

__all__ = [
    "PerSample",
    "check_differentiable",
    "check_tensor",
    "check_tied",
    "per_sample_loss",
    "target_dtype",
    "token_losses",
]

PerSample = Callable[[Any, Tensor], Tensor]


def per_sample_loss(loss: Loss, like: Tensor) -> PerSample:
    """Return a function (outputs, targets) -> per-sample losses ``(n,)``.

    Parameters
    ----------
    loss
        A loss that is a module is copied to the device and dtype of `like`.
    like : Tensor
        On that device, in that dtype.

    Raises
    ------
    InvalidModelError
        If a loss of PyTorch's averages, or has parameters of its own.
    """
    resolved = resolve_loss(loss)
    if not isinstance(resolved, NamedLoss):
        check_reduction(resolved)
        return _own_loss(resolved, like)
    if isinstance(resolved, TokenCrossEntropy):
        return lambda outputs, targets: token_losses(resolved, outputs, targets).sum(1)
    if isinstance(resolved, CrossEntropy):
        return lambda outputs, targets: _cross_entropy(resolved, outputs, targets)
    if isinstance(resolved, BinaryCrossEntropy):
        return lambda outputs, targets: _binary_cross_entropy(resolved, outputs, targets)
    return lambda outputs, targets: _sample_mean((_like(outputs, targets) - targets) ** 2)


def target_dtype(loss: Loss, targets: NDArray[Any], dtype: torch.dtype) -> torch.dtype:
    """Return the dtype that targets are handed to the loss in."""
    if targets.dtype.kind == "f" or (isinstance(resolve_loss(loss), NamedLoss) and not are_classes(loss)):
        return dtype
    return torch.int64


def check_tied(losses: object) -> Tensor:
    """Return what a caller's loss returned, or raise if it is no tensor that is tied to the parameters."""
    if not isinstance(losses, Tensor):
        raise InvalidModelError(f"the loss returned a {type(losses).__name__}, not a tensor")
    if not losses.requires_grad:
        raise InvalidModelError(
            "the loss does not depend on the trained parameters: is a result detached, or computed under "
            "torch.no_grad()?"
        )
    return losses


def check_tensor(outputs: object, what: str) -> Tensor:
    """Return a model's outputs, or raise if they are not one tensor."""
    if not isinstance(outputs, Tensor):
        raise InvalidModelError(
            f"{what} needs a model that returns a tensor, not a {type(outputs).__name__}: say which it is by "
            "Learner(outputs=lambda returned: returned.logits)"
        )
    return outputs


def check_differentiable(objective: Tensor) -> None:
    """Raise if an objective has no gradient."""
    if not objective.requires_grad:
        raise InvalidModelError(
            "the objective does not depend on the trained parameters in a differentiable way (a count of "
            "correct predictions does not): use a smooth one, such as the loss"
        )


def _cross_entropy(loss: CrossEntropy, outputs: Tensor, targets: Tensor) -> Tensor:
    weight = None if loss.class_weights is None else outputs.new_tensor(loss.class_weights)
    losses = nn.functional.cross_entropy(
        outputs, targets, weight=weight, reduction="none", label_smoothing=loss.label_smoothing
    )
    return _sample_mean(losses)


def token_losses(loss: TokenCrossEntropy, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return what each token contributes to its sample's loss, ``(n, L)``; 0 for those that don't count."""
    labels = targets
    if loss.shift:
        ignored = torch.full_like(targets[:, :1], loss.ignore_index)
        labels = torch.cat([targets[:, 1:], ignored], dim=1)
    counts = labels != loss.ignore_index
    safe = torch.where(counts, labels, 0)
    losses = nn.functional.cross_entropy(outputs.transpose(1, 2), safe, reduction="none") * counts
    if loss.reduction == "mean":
        losses = losses / counts.sum(1, keepdim=True).clamp(min=1)
    if loss.shift:  # a loss is that of the token which is predicted
        losses = torch.cat([losses[:, -1:], losses[:, :-1]], dim=1)
    return losses


def _binary_cross_entropy(loss: BinaryCrossEntropy, outputs: Tensor, targets: Tensor) -> Tensor:
    smooth = targets * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    losses = nn.functional.binary_cross_entropy_with_logits(_like(outputs, targets), smooth, reduction="none")
    if loss.class_weights is not None:
        negative, positive = loss.class_weights
        losses = losses * (negative + (positive - negative) * targets)
    return _sample_mean(losses)


def _own_loss(loss: LossFunction, like: Tensor) -> PerSample:
    if not isinstance(loss, nn.Module):
        return in_our_order(loss)
    check_closed([name for name, p in loss.named_parameters() if p.requires_grad], "loss")
    return copy.deepcopy(loss).to(like.device, like.dtype)


def _sample_mean(losses: Tensor) -> Tensor:
    return losses if losses.ndim == 1 else losses.flatten(1).mean(1)


def _like(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.reshape(targets.shape)
