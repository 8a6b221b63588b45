"""Lion (Chen et al., 2023): the sign of a moving average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dataval.training.optimizers.base import Array, Betas, Factors, Optimizer, Slots

__all__ = ["Lion"]

_TINY = 1e-30


class Lion(Optimizer):
    r"""Lion: every parameter moves by the same length.

    .. math::
        \theta' = (1 - \eta\lambda)\,\theta - \eta\,\mathrm{sign}(\beta_1 m + (1-\beta_1) g), \quad
        m' = \beta_2 m + (1-\beta_2) g

    The sign has the derivative 0 wherever it has one, so that the exact derivative of a run in the weight of
    a sample is 0: a small change of a weight changes no step, until a sign turns. Values of `HyDRA` are
    therefore 0, exactly and honestly: choose `InfluenceFunction`, `TracIn` or retraining for models that Lion
    has trained.

    Parameters
    ----------
    learning_rate : float, default 1e-4
        :math:`\eta > 0`. A schedule multiplies it.
    betas : (float, float), default (0.9, 0.99)
        Each in [0, 1).
    weight_decay : float, default 0
        :math:`\lambda \ge 0`, decoupled.
    groups : dict, default {}
        What differs for some parameters; see `Optimizer`.

    References
    ----------
    Chen et al. (2023). Symbolic discovery of optimization algorithms. NeurIPS.
    """

    name: Literal["lion"] = "lion"
    learning_rate: float = Field(default=1e-4, gt=0)
    betas: Betas = (0.9, 0.99)
    weight_decay: float = Field(default=0.0, ge=0)

    decoupled: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    momentum_name: ClassVar[str | None] = "beta1"
    hyperparameters: ClassVar[tuple[str, ...]] = ("learning_rate", "beta1", "beta2", "weight_decay")

    @property
    def n_slots(self) -> int:
        """One moving average."""
        return 1

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return the shares of old and new, the rate, and what is kept of the parameters."""
        return {
            "old1": of["beta1"],
            "new1": 1 - of["beta1"],
            "old2": of["beta2"],
            "new2": 1 - of["beta2"],
            "rate": of["learning_rate"],
            "keep": 1 - of["learning_rate"] * of["weight_decay"],
        }

    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        mixed = factors.old1 * slots[0] + factors.new1 * gradient
        sign = mixed / ((mixed * mixed) ** 0.5 + _TINY)
        average = factors.old2 * slots[0] + factors.new2 * gradient
        return factors.keep * parameters - factors.rate * sign, (average,)

    def update_vjp(
        self,
        parameters_bar: Array,
        slots_bar: Slots,
        parameters: Array,
        slots: Slots,
        gradient: Array,
        factors: Factors,
    ) -> tuple[Array, Slots, Array]:
        """Pull a cotangent back through `update`."""
        average_bar = slots_bar[0]
        return factors.keep * parameters_bar, (factors.old2 * average_bar,), factors.new2 * average_bar
