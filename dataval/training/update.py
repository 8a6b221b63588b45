"""One update of parameters and slots by a gradient under a run's hyperparameters, and its pullback."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import Array, Arrays
from dataval.backend.recent import Recent
from dataval.training.hyperparameters import Hyperparameters
from dataval.training.optimizers import Factors, Optimizer, Slots, clip_by_norm, clip_by_norm_vjp

__all__ = ["Update"]

_SPREAD_BYTES = 2**26  # of factors that differ by group, which are made once for many updates
_FEWEST = 2


class Update:
    """Clipping, the optimizer, and what of the parameters is frozen, as a function of state and gradient.

    Parameters
    ----------
    optimizer : Optimizer
    clip_norm : float or None
        Largest norm of the gradient.
    hyperparameters : Hyperparameters
    sizes : sequence of int
        Number of entries of each of the model's parameter arrays.
    arrays : Arrays
    """

    def __init__(
        self,
        optimizer: Optimizer,
        clip_norm: float | None,
        hyperparameters: Hyperparameters,
        sizes: Sequence[int],
        arrays: Arrays,
    ) -> None:
        self.optimizer, self.hyperparameters = optimizer, hyperparameters
        self.is_linear = optimizer.linear and clip_norm is None and hyperparameters.is_uniform
        """Whether pulling back multiplies all entries of a cotangent alike, whatever state and gradient are."""
        self._clip_norm, self._arrays = clip_norm, arrays
        self.sizes = np.asarray(sizes, dtype=np.int64)
        self._spread: Recent[Array] = Recent(max(_FEWEST, _SPREAD_BYTES // (8 * max(1, int(self.sizes.sum())))))

    def __call__(self, parameters: Array, slots: Slots, gradient: Array, step: int) -> tuple[Array, Slots]:
        """Return the parameters and slots after update number `step`."""
        mask, used = self._mask(step), self.used(gradient, step)
        after, slots_after = self.optimizer.update(parameters, slots, used, self.factors(step))
        if mask is None:
            return after, slots_after
        held = [_where(mask, new, old) for new, old in zip(slots_after, slots, strict=True)]
        return _where(mask, after, parameters), tuple(held)

    def used(self, gradient: Array, step: int) -> Array:
        """Return the gradient as the optimizer gets it: clipped, and 0 where parameters are frozen."""
        return self._clipped(_where(self._mask(step), gradient))

    def vjp(
        self,
        parameters_bar: Array,
        slots_bar: Slots,
        parameters: Array,
        slots: Slots,
        gradient: Array | None,
        step: int,
    ) -> tuple[Array, Slots, Array]:
        """Pull a cotangent back through update number `step`; without a gradient where it `is_linear`.

        Returns
        -------
        parameters_bar, slots_bar, gradient_bar
            As `Optimizer.update_vjp`, the last of them for the gradient before it was clipped.
        """
        mask = self._mask(step)
        raw = gradient if mask is None else _where(mask, gradient)
        before, slots_before, gradient_bar = self.optimizer.update_vjp(
            _where(mask, parameters_bar),
            tuple(_where(mask, bar) for bar in slots_bar),
            parameters,
            slots,
            self._clipped(raw),
            self.factors(step),
        )
        if self._clip_norm is not None:
            gradient_bar = clip_by_norm_vjp(gradient_bar, raw, self._clip_norm, self._arrays)
        if mask is None:
            return before, slots_before, gradient_bar
        held = [_where(mask, new, old) for new, old in zip(slots_before, slots_bar, strict=True)]
        return _where(mask, before, parameters_bar), tuple(held), _where(mask, gradient_bar)

    def coefficients(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Run the recursion on scalars; see `Program.coefficients`."""
        optimizer, n_steps = self.optimizer, self.hyperparameters.n_steps
        carried, slots = 1.0, (0.0,) * optimizer.n_slots
        received, all_carried = np.empty(n_steps), np.ones(n_steps + 1)
        for step in reversed(range(n_steps)):
            carried, slots, received[step] = optimizer.update_vjp(
                carried, slots, None, (), None, self.factors(step)
            )
            all_carried[step] = carried
        return received, all_carried

    def factors(self, step: int) -> Factors:
        """Return the numbers of update number `step`: floats, or arrays ``(P,)`` where groups differ."""
        found = self.optimizer.factors(self.hyperparameters.at(step))
        return SimpleNamespace(**{name: self.spread(values) for name, values in found.items()})

    def spread(self, values: NDArray[Any]) -> float | Array:
        """Return one number ``(G,)`` a group as a float where all are equal, or as an array ``(P,)``."""
        first = float(values[0])
        if (values == first).all():
            return first
        of_arrays = np.asarray(values, dtype=np.float64)[self.hyperparameters.groups]
        return self._spread.get(
            of_arrays.tobytes(), None, lambda: self._arrays.from_numpy(np.repeat(of_arrays, self.sizes))
        )

    def _mask(self, step: int) -> Array | None:
        """Return 1 for the entries that are updated and 0 for frozen ones, or None where all are."""
        active = self.hyperparameters.active[step]
        if active.all():
            return None
        return self.spread(active.astype(np.float64))

    def _clipped(self, gradient: Array | None) -> Array | None:
        if self._clip_norm is None:
            return gradient
        return clip_by_norm(gradient, self._clip_norm, self._arrays)


def _where(mask: Array | None, new: Array, old: Array | None = None) -> Array:
    """Return `new` where the mask is 1, and `old` or 0 where it is 0."""
    if mask is None:
        return new
    return mask * new if old is None else mask * new + (1.0 - mask) * old
