"""Adam (Kingma & Ba, 2015) and AdamW (Loshchilov & Hutter, 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dataval.training.optimizers.base import (
    TINY,
    Array,
    Betas,
    Factors,
    Optimizer,
    Slots,
    effective,
    effective_vjp,
    scaled,
)

__all__ = ["Adam", "AdamFamily", "AdamW", "moments", "moments_vjp"]


class AdamFamily(Optimizer):
    """What Adam and AdamW share."""

    learning_rate: float = Field(default=1e-3, gt=0)
    betas: Betas = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    momentum_name: ClassVar[str | None] = "beta1"
    hyperparameters: ClassVar[tuple[str, ...]] = ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay")

    @property
    def n_slots(self) -> int:
        """First and second moment."""
        return 2

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return the shares of old and new in the moments, the corrected rate, and both kinds of decay."""
        rate, decay, number = of["learning_rate"], of["weight_decay"], of["count"] + 1
        is_coupled = not self.is_decoupled
        return {
            "old1": of["beta1"],
            "new1": 1 - of["beta1"],
            "old2": of["beta2"],
            "new2": 1 - of["beta2"],
            "rate": rate / (1 - of["beta1"] ** number),
            "correction": (1 - of["beta2"] ** number) ** 0.5,
            "epsilon": of["epsilon"],
            "decay": decay * is_coupled,
            "keep": 1 - rate * decay * (not is_coupled),
        }

    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        mean, square = moments(slots, effective(parameters, gradient, factors.decay), factors)
        after = mean / _denominator(square**0.5, factors)
        after *= -factors.rate
        after += scaled(parameters, factors.keep)
        return after, (mean, square)

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
        gradient = effective(parameters, gradient, factors.decay)
        mean, square = moments(slots, gradient, factors)
        root = square**0.5
        denominator = _denominator(root, factors)
        direction_bar = -factors.rate * parameters_bar
        direction_bar /= denominator
        square_bar = -direction_bar
        square_bar *= mean
        square_bar /= denominator
        square_bar *= 0.5 / factors.correction
        square_bar /= root + TINY
        square_bar += slots_bar[1]
        direction_bar += slots_bar[0]
        before, gradient_bar = moments_vjp(direction_bar, square_bar, gradient, factors)
        parameters_bar = scaled(parameters_bar, factors.keep)
        parameters_bar = effective_vjp(parameters_bar, gradient_bar, factors.decay)
        return parameters_bar, before, gradient_bar


def _denominator(root: Array, factors: Factors) -> Array:
    found = root / factors.correction
    found += factors.epsilon
    return found


def moments(slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Array]:
    """Return the first and second moment after a gradient."""
    mean, square = factors.old1 * slots[0], factors.old2 * slots[1]
    part = factors.new2 * gradient
    part *= gradient
    square += part
    mean += factors.new1 * gradient
    return mean, square


def moments_vjp(mean_bar: Array, square_bar: Array, gradient: Array, factors: Factors) -> tuple[Slots, Array]:
    """Pull cotangents back through `moments`, to the slots and the gradient."""
    gradient_bar = 2 * factors.new2 * gradient * square_bar
    gradient_bar += factors.new1 * mean_bar
    return (factors.old1 * mean_bar, factors.old2 * square_bar), gradient_bar


class Adam(AdamFamily):
    r"""Adam, with coupled weight decay as in ``torch.optim.Adam``.

    .. math::
        \tilde g = g + \lambda\theta, \quad
        m' = \beta_1 m + (1-\beta_1)\tilde g, \quad
        v' = \beta_2 v + (1-\beta_2)\tilde g^2, \quad
        \theta' = \theta - \eta\,
            \frac{m' / (1-\beta_1^{t+1})}{\sqrt{v' / (1-\beta_2^{t+1})} + \epsilon}

    Parameters
    ----------
    learning_rate : float, default 1e-3
        :math:`\eta > 0`. A schedule multiplies it.
    betas : (float, float), default (0.9, 0.999)
        Decay rates of the two moments, each in [0, 1).
    epsilon : float, default 1e-8
        Added to the denominator, > 0.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`, added to the gradient. See `AdamW` for the decoupled form.
    groups : dict, default {}
        What differs for some parameters; see `Optimizer`.
    """

    name: Literal["adam"] = "adam"

    decoupled: ClassVar[bool] = False


class AdamW(AdamFamily):
    r"""Adam with decoupled weight decay, as in ``torch.optim.AdamW``.

    As `Adam` on the bare gradient, with :math:`\theta` first shrunk by :math:`1 - \eta\lambda`.

    Parameters
    ----------
    learning_rate, betas, epsilon, groups
        As for `Adam`.
    weight_decay : float, default 1e-2
        :math:`\lambda \ge 0`.
    """

    name: Literal["adamw"] = "adamw"
    weight_decay: float = Field(default=1e-2, ge=0)

    decoupled: ClassVar[bool] = True
