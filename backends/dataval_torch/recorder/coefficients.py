"""What a loop multiplies each sample's loss by, read off the gradient that reaches the model's outputs.

A loop that minimises ``sum_j c_j loss_j`` sends ``c_j grad loss_j`` back into the outputs of sample j. Comparing it
with the gradient of the sample's own loss gives every c_j, whatever divisor, class weights, token counts or
accumulation it comes from, and shows where the loop's loss is no such sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dataval_torch.losses import PerSample
from dataval_torch.own_loss import map_tensors, tensors_of

__all__ = ["Coefficients", "measure"]

_MOST_DOUBLED = 2**20
_TINY = 1e-20  # relative to the largest: what a sample without a gradient has


@dataclass(frozen=True)
class Coefficients:
    """What was found for one forward pass.

    Attributes
    ----------
    losses : Tensor, shape (n,)
        The samples' own.
    values : Tensor of float64, shape (n,)
    residual : float
        What of the loop's gradient in the outputs they don't explain, relative to it.
    """

    losses: Tensor
    values: Tensor
    residual: float


def measure(
    per_sample: PerSample, outputs: Any, gradients: Sequence[Tensor], targets: Any, scale: float = 1.0
) -> Coefficients:
    """Find the coefficients of a pass.

    Parameters
    ----------
    per_sample : callable
        (outputs, targets) -> ``(n,)``.
    outputs
        Of the pass; tensors with the samples along the first axis.
    gradients : sequence of Tensor
        Of the loop's loss in each of the tensors.
    targets
        Of the samples.
    scale : float, default 1
        What the loop's loss was multiplied by for the sake of precision, and its gradients divided by again.
    """
    fixed = map_tensors(lambda leaf: leaf.detach().requires_grad_(leaf.is_floating_point()), outputs)
    leaves = [leaf for leaf in tensors_of(fixed) if leaf.requires_grad]
    with torch.enable_grad():
        losses = per_sample(fixed, targets)
        own = torch.autograd.grad(losses.sum(), leaves, materialize_grads=True)
    theirs = torch.cat([_rows(gradient) for gradient in gradients], dim=1) / scale
    mine = torch.cat([_rows(gradient) for gradient in own], dim=1)
    return _fitted(losses.detach(), mine, theirs, losses.dtype)


def _fitted(losses: Tensor, mine: Tensor, theirs: Tensor, dtype: torch.dtype) -> Coefficients:
    """Fit one coefficient to all samples, or else one to each."""
    tolerance = 1e-6 if dtype == torch.float64 else 1e-5
    size, products, squares = theirs.norm(), (mine * theirs).sum(1), (mine * mine).sum(1)
    total = squares.sum()
    if not (size > 0 and total > 0):
        return Coefficients(losses, products.new_zeros(len(losses)), 0.0 if size == 0 else 1.0)
    common = products.sum() / total
    residual = float((theirs - common * mine).norm() / size)
    if residual <= tolerance:
        return Coefficients(losses, torch.full_like(products, _rounded(float(common), tolerance)), residual)
    known = squares > _TINY * squares.max()
    each = torch.where(known, products / torch.where(known, squares, 1.0), common)
    residual = float((theirs - each[:, None] * mine).norm() / size)
    return Coefficients(losses, each, residual)


def _rounded(value: float, tolerance: float) -> float:
    """Return one over a whole number where that is what was measured."""
    if value <= 0:
        return value
    nearest = round(1 / value)
    return 1 / nearest if nearest and abs(value * nearest - 1) <= 10 * tolerance else value


def _rows(tensor: Tensor) -> Tensor:
    rows = tensor.detach().reshape(len(tensor), -1)
    return rows.double() if rows.numel() <= _MOST_DOUBLED else rows
