"""Adam (Kingma & Ba, 2015) and AdamW (Loshchilov & Hutter, 2019)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from dataval.training.optimizers.base import Array, Optimizer, Slots

__all__ = ["Adam", "AdamW"]

_TINY = 1e-30  # keeps 0 / sqrt(0) at 0: a parameter that never had a gradient has no derivative here


class _AdamFamily(Optimizer):
    """What Adam and AdamW share."""

    learning_rate: float = Field(default=1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    decoupled: ClassVar[bool]

    def model_post_init(self, context: Any, /) -> None:
        """Refuse decay rates outside [0, 1)."""
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")

    @property
    def n_slots(self) -> int:
        """First and second moment."""
        return 2

    @property
    def coupled_decay(self) -> float:
        """All of it, or none where it is decoupled."""
        return 0.0 if self.decoupled else self.weight_decay

    def update(
        self, parameters: Array, slots: Slots, gradient: Array, learning_rate: float, step: int
    ) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        mean, square = self._moments(parameters, slots, gradient)
        rate, correction = self._corrections(learning_rate, step)
        direction = mean / (square**0.5 / correction + self.epsilon)
        return self._keep(learning_rate) * parameters - rate * direction, (mean, square)

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
        """Pull a cotangent back through `update`."""
        beta1, beta2 = self.betas
        mean, square = self._moments(parameters, slots, gradient)
        rate, correction = self._corrections(learning_rate, step)
        root = square**0.5
        denominator = root / correction + self.epsilon
        direction_bar = -rate * parameters_bar / denominator
        mean_bar = slots_bar[0] + direction_bar
        root_bar = -direction_bar * mean / denominator / correction
        square_bar = slots_bar[1] + 0.5 * root_bar / (root + _TINY)
        effective = self._effective_gradient(parameters, gradient)
        gradient_bar = (1 - beta1) * mean_bar + 2 * (1 - beta2) * effective * square_bar
        parameters_bar = self._keep(learning_rate) * parameters_bar
        if self.coupled_decay:
            parameters_bar = parameters_bar + self.coupled_decay * gradient_bar
        return parameters_bar, (beta1 * mean_bar, beta2 * square_bar), gradient_bar

    def _keep(self, learning_rate: float) -> float:
        return 1.0 - learning_rate * self.weight_decay if self.decoupled else 1.0

    def _effective_gradient(self, parameters: Array, gradient: Array) -> Array:
        return gradient + self.coupled_decay * parameters if self.coupled_decay else gradient

    def _moments(self, parameters: Array, slots: Slots, gradient: Array) -> tuple[Array, Array]:
        beta1, beta2 = self.betas
        gradient = self._effective_gradient(parameters, gradient)
        mean = beta1 * slots[0] + (1 - beta1) * gradient
        return mean, beta2 * slots[1] + (1 - beta2) * gradient * gradient

    def _corrections(self, learning_rate: float, step: int) -> tuple[float, float]:
        beta1, beta2 = self.betas
        return learning_rate / (1 - beta1 ** (step + 1)), (1 - beta2 ** (step + 1)) ** 0.5


class Adam(_AdamFamily):
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
    """

    name: Literal["adam"] = "adam"

    decoupled: ClassVar[bool] = False


class AdamW(_AdamFamily):
    r"""Adam with decoupled weight decay, as in ``torch.optim.AdamW``.

    As `Adam` on the bare gradient, with :math:`\theta` first shrunk by :math:`1 - \eta\lambda`.

    Parameters
    ----------
    learning_rate, betas, epsilon
        As for `Adam`.
    weight_decay : float, default 1e-2
        :math:`\lambda \ge 0`.
    """

    name: Literal["adamw"] = "adamw"
    weight_decay: float = Field(default=1e-2, ge=0)

    decoupled: ClassVar[bool] = True
