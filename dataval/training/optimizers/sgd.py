"""Stochastic gradient descent with momentum, as `torch.optim.SGD` defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dataval.training.optimizers.base import (
    Array,
    Factors,
    Optimizer,
    Slots,
    effective,
    effective_vjp,
    scaled,
)

__all__ = ["SGD"]


class SGD(Optimizer):
    r"""Stochastic gradient descent.

    With gradient :math:`g`, parameters :math:`\theta` and momentum buffer :math:`v`,

    .. math::
        \tilde g = g + \lambda\theta, \qquad
        v' = \mu v + (1-d)\,\tilde g, \qquad
        \theta' = \theta - \eta\, v'

    or, with Nesterov momentum, :math:`\theta' = \theta - \eta(\tilde g + \mu v')`. As in
    ``torch.optim.SGD``, the first update is not dampened: :math:`v' = \tilde g`.

    Parameters
    ----------
    learning_rate : float
        :math:`\eta > 0`. A schedule multiplies it.
    momentum : float, default 0
        :math:`\mu`, in [0, 1).
    dampening : float, default 0
        :math:`d`, in [0, 1]. Must be 0 with Nesterov momentum.
    nesterov : bool, default False
        Use Nesterov's form, which needs a positive momentum.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`, coupled: added to the gradient.
    groups : dict, default {}
        What differs for some parameters; see `Optimizer`.
    """

    name: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    dampening: float = Field(default=0.0, ge=0, le=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)

    linear: ClassVar[bool] = True
    hyperparameters: ClassVar[tuple[str, ...]] = ("learning_rate", "momentum", "dampening", "weight_decay")

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov=True needs momentum > 0 and dampening = 0")
        return self

    @property
    def n_slots(self) -> int:
        """One momentum buffer, or none without momentum."""
        return int(self.has_momentum)

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return rate, decay, momentum, and the share of the gradient in the momentum buffer."""
        share = np.where((of["count"] == 0) | (of["momentum"] == 0), 1.0, 1.0 - of["dampening"])
        return {
            "rate": of["learning_rate"],
            "decay": of["weight_decay"],
            "momentum": of["momentum"],
            "share": share,
        }

    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        gradient = effective(parameters, gradient, factors.decay)
        if not slots:
            return _moved(parameters, gradient, factors), ()
        buffer = factors.momentum * slots[0]
        buffer += scaled(gradient, factors.share)
        direction = gradient + factors.momentum * buffer if self.nesterov else buffer
        return _moved(parameters, direction, factors), (buffer,)

    def update_vjp(
        self,
        parameters_bar: Array,
        slots_bar: Slots,
        parameters: Array,
        slots: Slots,
        gradient: Array,
        factors: Factors,
    ) -> tuple[Array, Slots, Array]:
        """Pull a cotangent back through `update`; it needs none of the forward values."""
        direction_bar = -factors.rate * parameters_bar
        gradient_bar, slots_bar = self._through_momentum(direction_bar, slots_bar, factors)
        parameters_bar = effective_vjp(parameters_bar, gradient_bar, factors.decay)
        return parameters_bar, slots_bar, gradient_bar

    def _through_momentum(self, direction_bar: Array, slots_bar: Slots, factors: Any) -> tuple[Array, Slots]:
        """Pull back a cotangent of the direction, which is nobody else's, and of the momentum buffer."""
        if not slots_bar:
            return direction_bar, ()
        if self.nesterov:
            buffer_bar = factors.momentum * direction_bar
            buffer_bar += slots_bar[0]
            direction_bar += scaled(buffer_bar, factors.share)
            return direction_bar, (factors.momentum * buffer_bar,)
        direction_bar += slots_bar[0]
        return scaled(direction_bar, factors.share), (factors.momentum * direction_bar,)


def _moved(parameters: Array, direction: Array, factors: Factors) -> Array:
    after = -factors.rate * direction
    after += parameters
    return after
