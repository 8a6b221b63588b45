"""Doing a loop's update again while it is recorded, and naming what differs where it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dataval.training.hyperparameters import Hyperparameters
from dataval.training.optimizers import Optimizer
from dataval.training.program import State
from dataval.training.tape import Setting
from dataval.training.update import Update
from dataval_torch.backend import TorchBackend
from dataval_torch.recorder.diagnosis import explain_gradient, explain_step
from dataval_torch.recorder.passes import Pass

__all__ = ["Observed", "Prover", "tolerance_of"]


@dataclass(frozen=True)
class Observed:
    """One update of the loop.

    Attributes
    ----------
    passes : sequence of (Pass, Tensor)
        Its forward passes with the samples' coefficients ``(n,)``.
    setting : Setting
        What the optimizer was told.
    counts : sequence of int
        How many updates it had done on each parameter array.
    gradient : Tensor, shape (P,)
        What the optimizer used.
    before, after : State
    """

    passes: Sequence[tuple[Pass, Tensor]]
    setting: Setting
    counts: Sequence[int]
    gradient: Tensor
    before: State
    after: State


class Prover:
    """Computes gradients and updates anew, by the functions that a replay calls.

    Parameters
    ----------
    backend : TorchBackend
        A copy of the loop's model.
    optimizer : Optimizer
        Of the loop's kind.
    clip_norm : float or None
    """

    def __init__(self, backend: TorchBackend, optimizer: Optimizer, clip_norm: float | None) -> None:
        self._backend, self._optimizer, self._clip_norm = backend, optimizer, clip_norm
        self._names = [name for name, _ in backend.signature.parameters]
        self._sizes = [int(np.prod(shape)) for _, shape in backend.signature.parameters]
        self._previous: Tensor | None = None

    def prove(self, seen: Observed) -> float | str:
        """Do an update again; return by how much it missed, relative to its length, or what differs if that is more."""
        previous, self._previous = self._previous, seen.gradient
        expected = self.gradient(seen)
        if not _is_near(seen.gradient, expected, seen.gradient):
            parts = self.split(expected), self.split(seen.gradient), self.split(seen.before.parameters)
            older = None if previous is None else self.split(previous)
            return explain_gradient(self._names, *parts, older, self._clip_norm, tolerance_of(expected))
        return self._prove_step(seen, expected)

    def gradient(self, seen: Observed) -> Tensor:
        """Return the gradient of the weighted losses of an update, clipped."""
        total = torch.zeros_like(seen.before.parameters)
        for each, coefficients in seen.passes:
            weights = coefficients.to(total)
            total += self._backend.loss.gradient(
                seen.before.parameters, each.buffers, each.batch, weights, each.seed
            )[1]
        clipping = self._update(seen, self._optimizer, self._clip_norm)
        return clipping.used(total, 0)

    def _prove_step(self, seen: Observed, expected: Tensor) -> float | str:
        """Look at the optimizer's step with the gradient that it used, and then with the one that was expected."""

        def step(optimizer: Optimizer, setting: Setting, gradient: Tensor = seen.gradient) -> Tensor:
            changed = replace(seen, setting=setting)
            before = seen.before
            update = self._update(changed, optimizer, None)
            parameters, slots = update(before.parameters, before.slots, gradient, 0)
            return torch.stack([parameters, *slots])

        after = torch.stack([seen.after.parameters, *seen.after.slots])
        moved = after - torch.stack([seen.before.parameters, *seen.before.slots])
        if _is_near(after, step(self._optimizer, seen.setting), moved):
            found, length = step(self._optimizer, seen.setting, expected)[0], float(moved[0].norm())
            return float((found - after[0]).norm()) / length if length else 0.0
        return explain_step(self._optimizer, seen.setting, step, after, moved, self._names, self._sizes)

    def _update(self, seen: Observed, optimizer: Optimizer, clip_norm: float | None) -> Update:
        settings = single_step(seen.setting, seen.counts, optimizer)
        return Update(optimizer, clip_norm, settings, self._sizes, self._backend.arrays)

    def split(self, vector: Tensor) -> list[Tensor]:
        """Return the pieces of a flat vector, one for each parameter array."""
        return list(torch.split(vector, self._sizes))


def single_step(setting: Setting, counts: Sequence[int], optimizer: Optimizer) -> Hyperparameters:
    """Return the hyperparameters of one update, each parameter array a group of its own."""
    values = {
        name: np.array([[setting.values[group][name] for group in setting.groups]])
        for name in optimizer.hyperparameters
    }
    n = len(setting.groups)
    return Hyperparameters(values, np.array([counts]), np.array([setting.active]), np.arange(n))


def tolerance_of(tensor: Tensor) -> float:
    """Return the relative difference that rounding explains; losses may be computed in single precision."""
    return 1e-6 if tensor.dtype == torch.float64 else 1e-4


def _is_near(found: Tensor, expected: Tensor, scale: Tensor) -> bool:
    """Whether two agree, relative to the size of something, and to the precision of the numbers themselves."""
    rounding = 10 * torch.finfo(found.dtype).eps * float(found.norm())
    return bool((found - expected).norm() <= tolerance_of(found) * float(scale.norm()) + rounding)
