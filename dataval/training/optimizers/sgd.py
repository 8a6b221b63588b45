"""Stochastic gradient descent with momentum, as `torch.optim.SGD` defines it."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dataval.training.optimizers.base import Array, Optimizer, Slots

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
    """

    name: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    dampening: float = Field(default=0.0, ge=0, le=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)

    linear: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov=True needs momentum > 0 and dampening = 0")
        return self

    @property
    def n_slots(self) -> int:
        """One momentum buffer, or none without momentum."""
        return 1 if self.momentum else 0

    @property
    def coupled_decay(self) -> float:
        """All of it."""
        return self.weight_decay

    def update(
        self, parameters: Array, slots: Slots, gradient: Array, learning_rate: float, step: int
    ) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * parameters
        if not self.momentum:
            return parameters - learning_rate * gradient, ()
        buffer = self.momentum * slots[0] + self._share(step) * gradient
        direction = gradient + self.momentum * buffer if self.nesterov else buffer
        return parameters - learning_rate * direction, (buffer,)

    def update_vjp(
        self,
        parameters_bar: Array,
        slots_bar: Slots,
        parameters: Array,
        slots: Slots,
        gradient: Array,
        learning_rate: float,
        step: int,
    ) -> tuple[Array, Slots, Array]:
        """Pull a cotangent back through `update`; it needs none of the forward values."""
        direction_bar = -learning_rate * parameters_bar
        if not self.momentum:
            gradient_bar, slots_bar = direction_bar, ()
        elif self.nesterov:
            buffer_bar = slots_bar[0] + self.momentum * direction_bar
            gradient_bar = direction_bar + self._share(step) * buffer_bar
            slots_bar = (self.momentum * buffer_bar,)
        else:
            buffer_bar = slots_bar[0] + direction_bar
            gradient_bar = self._share(step) * buffer_bar
            slots_bar = (self.momentum * buffer_bar,)
        if self.weight_decay:
            parameters_bar = parameters_bar + self.weight_decay * gradient_bar
        return parameters_bar, slots_bar, gradient_bar

    def _share(self, step: int) -> float:
        return 1.0 if step == 0 else 1.0 - self.dampening
