"""RMSprop (Hinton, 2012) and Adagrad (Duchi, Hazan & Singer, 2011)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dataval.training.optimizers.base import TINY, Array, Factors, Optimizer, Slots, effective, effective_vjp

__all__ = ["Adagrad", "RMSprop"]


class RMSprop(Optimizer):
    r"""RMSprop, as ``torch.optim.RMSprop`` defines it.

    .. math::
        \tilde g = g + \lambda\theta, \quad
        v' = \alpha v + (1-\alpha)\tilde g^2, \quad
        d = \frac{\tilde g}{\sqrt{v'} + \epsilon}, \quad
        \theta' = \theta - \eta\, d

    With momentum, :math:`b' = \mu b + d` takes the place of d; centered, :math:`v' - \bar g'^2` that of
    :math:`v'` under the root, with :math:`\bar g' = \alpha\bar g + (1-\alpha)\tilde g`.

    Parameters
    ----------
    learning_rate : float, default 1e-2
        :math:`\eta > 0`. A schedule multiplies it.
    alpha : float, default 0.99
        Decay rate of the squares, in [0, 1).
    epsilon : float, default 1e-8
        Added to the root, > 0.
    momentum : float, default 0
        :math:`\mu`, in [0, 1).
    centered : bool, default False
        Divide by the standard deviation of the gradient rather than its root mean square.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`, coupled: added to the gradient.
    groups : dict, default {}
        What differs for some parameters; see `Optimizer`.

    References
    ----------
    Hinton (2012). Neural networks for machine learning, lecture 6e.
    """

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: float = Field(default=1e-2, gt=0)
    alpha: float = Field(default=0.99, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    centered: bool = False
    weight_decay: float = Field(default=0.0, ge=0)

    hyperparameters: ClassVar[tuple[str, ...]] = (
        "learning_rate",
        "alpha",
        "epsilon",
        "momentum",
        "weight_decay",
    )

    @property
    def n_slots(self) -> int:
        """The squares, the mean where centered, the momentum buffer where there is momentum."""
        return 1 + self.centered + self.has_momentum

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return rate, the shares of old and new in the averages, momentum and decay."""
        return {
            "rate": of["learning_rate"],
            "old": of["alpha"],
            "new": 1 - of["alpha"],
            "epsilon": of["epsilon"],
            "momentum": of["momentum"],
            "decay": of["weight_decay"],
        }

    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        gradient = effective(parameters, gradient, factors.decay)
        averages = self._averages(slots, gradient, factors)
        direction = gradient / (self._variance(averages) ** 0.5 + factors.epsilon)
        if not self.has_momentum:
            return parameters - factors.rate * direction, averages
        buffer = factors.momentum * slots[-1] + direction
        return parameters - factors.rate * buffer, (*averages, buffer)

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
        averages = self._averages(slots, gradient, factors)
        root = self._variance(averages) ** 0.5
        denominator = root + factors.epsilon
        direction_bar = -factors.rate * parameters_bar
        rest: Slots = ()
        if self.has_momentum:
            direction_bar = direction_bar + slots_bar[-1]
            rest = (factors.momentum * direction_bar,)
        variance_bar = -0.5 * direction_bar * gradient / (denominator * denominator * (root + TINY))
        square_bar = slots_bar[0] + variance_bar
        gradient_bar = direction_bar / denominator + 2 * factors.new * gradient * square_bar
        before = [factors.old * square_bar]
        if self.centered:
            mean_bar = slots_bar[1] - 2 * variance_bar * averages[1]
            gradient_bar = gradient_bar + factors.new * mean_bar
            before.append(factors.old * mean_bar)
        parameters_bar = effective_vjp(parameters_bar, gradient_bar, factors.decay)
        return parameters_bar, (*before, *rest), gradient_bar

    def _averages(self, slots: Slots, gradient: Array, factors: Factors) -> Slots:
        square = factors.old * slots[0] + factors.new * gradient * gradient
        if not self.centered:
            return (square,)
        return square, factors.old * slots[1] + factors.new * gradient

    def _variance(self, averages: Slots) -> Array:
        return averages[0] - averages[1] * averages[1] if self.centered else averages[0]


class Adagrad(Optimizer):
    r"""Adagrad, as ``torch.optim.Adagrad`` defines it.

    .. math::
        \tilde g = g + \lambda\theta, \quad
        s' = s + \tilde g^2, \quad
        \theta' = \theta - \frac{\eta}{1 + t\,\gamma}\,\frac{\tilde g}{\sqrt{s'} + \epsilon}

    Parameters
    ----------
    learning_rate : float, default 1e-2
        :math:`\eta > 0`. A schedule multiplies it.
    learning_rate_decay : float, default 0
        :math:`\gamma \ge 0`; t counts updates from 0.
    initial_accumulator : float, default 0
        What s starts from, >= 0.
    epsilon : float, default 1e-10
        Added to the root, > 0.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`, coupled: added to the gradient.
    groups : dict, default {}
        What differs for some parameters; see `Optimizer`.

    References
    ----------
    Duchi, Hazan & Singer (2011). Adaptive subgradient methods for online learning and stochastic optimization.
    JMLR.
    """

    name: Literal["adagrad"] = "adagrad"
    learning_rate: float = Field(default=1e-2, gt=0)
    learning_rate_decay: float = Field(default=0.0, ge=0)
    initial_accumulator: float = Field(default=0.0, ge=0)
    epsilon: float = Field(default=1e-10, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    hyperparameters: ClassVar[tuple[str, ...]] = (
        "learning_rate",
        "learning_rate_decay",
        "epsilon",
        "weight_decay",
    )

    @property
    def n_slots(self) -> int:
        """The sum of squares."""
        return 1

    def init_slots(self, parameters: Array) -> Slots:
        """Return the sum of squares before the first update."""
        return (parameters * 0 + self.initial_accumulator,)

    def zero_slots(self, parameters: Array) -> Slots:
        """Return a cotangent of nothing."""
        return (parameters * 0,)

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return the decayed rate, epsilon and weight decay."""
        rate = of["learning_rate"] / (1 + of["count"] * of["learning_rate_decay"])
        return {"rate": rate, "epsilon": of["epsilon"], "decay": of["weight_decay"]}

    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        gradient = effective(parameters, gradient, factors.decay)
        total = slots[0] + gradient * gradient
        return parameters - factors.rate * gradient / (total**0.5 + factors.epsilon), (total,)

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
        root = (slots[0] + gradient * gradient) ** 0.5
        denominator = root + factors.epsilon
        direction_bar = -factors.rate * parameters_bar
        total_bar = slots_bar[0] - 0.5 * direction_bar * gradient / (denominator * denominator * (root + TINY))
        gradient_bar = direction_bar / denominator + 2 * gradient * total_bar
        parameters_bar = effective_vjp(parameters_bar, gradient_bar, factors.decay)
        return parameters_bar, (total_bar,), gradient_bar
