"""What a loop multiplies each sample's loss by, on torch tensors; see `dataval.training.fitted`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataval.data import to_numpy
from dataval.training.fitted import fitted_coefficients
from dataval_torch.losses import PerSample
from dataval_torch.own_loss import map_tensors, tensors_of

__all__ = ["Coefficients", "measure"]


@dataclass(frozen=True)
class Coefficients:
    """What was found for one forward pass.

    Attributes
    ----------
    losses : Tensor, shape (n,)
        The samples' own.
    values : ndarray of float64, shape (n,)
    residual : float
        What of the loop's gradient in the outputs they don't explain, relative to it.
    """

    losses: Tensor
    values: NDArray[np.float64]
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
    mine, theirs = (torch.cat([g.reshape(len(g), -1) for g in each], dim=1) for each in (own, gradients))
    values, residual = fitted_coefficients(to_numpy(mine), to_numpy(theirs) / scale)
    return Coefficients(losses.detach(), values, residual)
