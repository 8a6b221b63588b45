"""NAdam (Dozat, 2016) and RAdam (Liu et al., 2020): Adam with Nesterov momentum, and with a rectified start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dataval.training.optimizers.adam import AdamFamily, moments, moments_vjp
from dataval.training.optimizers.base import TINY, Array, Factors, Slots, effective, effective_vjp

__all__ = ["NAdam", "RAdam"]

_RECTIFIED_FROM = 5.0  # length of the average from which RAdam trusts its second moment


class NAdam(AdamFamily):
    r"""Adam with Nesterov momentum, as ``torch.optim.NAdam`` defines it.

    .. math::
        \mu_t = \beta_1(1 - \tfrac12\, 0.96^{t\psi}), \quad
        \theta' = \theta - \eta\,
            \frac{\dfrac{1-\mu_t}{1-\prod_{i\le t}\mu_i}\tilde g
                  + \dfrac{\mu_{t+1}}{1-\prod_{i\le t+1}\mu_i} m'}
                 {\sqrt{v' / (1-\beta_2^t)} + \epsilon}

    with t counted from 1, :math:`m'`, :math:`v'` and :math:`\tilde g` as for `Adam`.

    Parameters
    ----------
    learning_rate : float, default 2e-3
        :math:`\eta > 0`. A schedule multiplies it.
    betas : (float, float), default (0.9, 0.999)
        Each in [0, 1). The first must not change on the way.
    epsilon : float, default 1e-8
        Added to the denominator, > 0.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`.
    momentum_decay : float, default 4e-3
        :math:`\psi \ge 0`.
    decoupled_weight_decay : bool, default False
        Shrink the parameters by :math:`1-\eta\lambda` instead of adding :math:`\lambda\theta` to the gradient.
    groups : dict, default {}
        What differs for some parameters; see `Optimizer`.

    References
    ----------
    Dozat (2016). Incorporating Nesterov momentum into Adam. ICLR workshop.
    """

    name: Literal["nadam"] = "nadam"
    learning_rate: float = Field(default=2e-3, gt=0)
    momentum_decay: float = Field(default=4e-3, ge=0)
    decoupled_weight_decay: bool = False

    momentum_name: ClassVar[str | None] = None  # its corrections hold the betas of all updates before
    hyperparameters: ClassVar[tuple[str, ...]] = (*AdamFamily.hyperparameters, "momentum_decay")

    @property
    def is_decoupled(self) -> bool:
        """As the option says."""
        return self.decoupled_weight_decay

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return those of Adam, with the shares of gradient and momentum in the direction."""
        number, rate = of["count"] + 1, of["learning_rate"]
        most = int(number.max()) + 1
        momenta = of["beta1"] * (1 - 0.5 * 0.96 ** (np.arange(1, most + 1)[:, None] * of["momentum_decay"]))
        products, each = np.cumprod(momenta, axis=0), np.arange(len(number))
        at = number.astype(np.int64) - 1
        share = rate * (1 - momenta[at, each]) / (1 - products[at, each])
        nesterov = rate * momenta[at + 1, each] / (1 - products[at + 1, each])
        return super().factors(of) | {"of_gradient": share, "of_mean": nesterov}

    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        gradient = effective(parameters, gradient, factors.decay)
        mean, square = moments(slots, gradient, factors)
        denominator = square**0.5 / factors.correction + factors.epsilon
        step = (factors.of_gradient * gradient + factors.of_mean * mean) / denominator
        return factors.keep * parameters - step, (mean, square)

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
        denominator = root / factors.correction + factors.epsilon
        step_bar = -parameters_bar / denominator
        step = factors.of_gradient * gradient + factors.of_mean * mean
        root_bar = -step_bar * step / denominator / factors.correction
        mean_bar = slots_bar[0] + factors.of_mean * step_bar
        square_bar = slots_bar[1] + 0.5 * root_bar / (root + TINY)
        before, gradient_bar = moments_vjp(mean_bar, square_bar, gradient, factors)
        gradient_bar = gradient_bar + factors.of_gradient * step_bar
        parameters_bar = factors.keep * parameters_bar
        parameters_bar = effective_vjp(parameters_bar, gradient_bar, factors.decay)
        return parameters_bar, before, gradient_bar


class RAdam(AdamFamily):
    r"""Adam that follows its momentum alone until its second moment can be trusted, as ``torch.optim.RAdam``.

    With :math:`\rho_\infty = 2/(1-\beta_2) - 1`, :math:`\rho_t = \rho_\infty - 2t\beta_2^t/(1-\beta_2^t)` and
    :math:`\hat m = m'/(1-\beta_1^t)`, t counted from 1, :math:`\theta' = \theta - \eta\hat m` while
    :math:`\rho_t \le 5`, and from then on

    .. math::
        \theta' = \theta - \eta\,\hat m\,
            \sqrt{\frac{(\rho_t-4)(\rho_t-2)\rho_\infty}{(\rho_\infty-4)(\rho_\infty-2)\rho_t}}
            \,\frac{\sqrt{1-\beta_2^t}}{\sqrt{v'} + \epsilon}

    Parameters
    ----------
    learning_rate, betas, epsilon, weight_decay, groups
        As for `Adam`.
    decoupled_weight_decay : bool, default False
        Shrink the parameters by :math:`1-\eta\lambda` instead of adding :math:`\lambda\theta` to the gradient.

    References
    ----------
    Liu et al. (2020). On the variance of the adaptive learning rate and beyond. ICLR.
    """

    name: Literal["radam"] = "radam"
    decoupled_weight_decay: bool = False

    @property
    def is_decoupled(self) -> bool:
        """As the option says."""
        return self.decoupled_weight_decay

    def factors(self, of: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return those of Adam, with the rate of the plain and that of the rectified step, one of them 0."""
        beta2, number = of["beta2"], of["count"] + 1
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * number * beta2**number / (1 - beta2**number)
        is_rectified = length > _RECTIFIED_FROM
        safe = np.where(is_rectified, length, 6.0)
        rest = (safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe)
        found = super().factors(of)
        rectified = found["rate"] * np.sqrt(np.where(is_rectified, rest, 0.0)) * found["correction"]
        return found | {"rectified": rectified, "plain": found["rate"] * ~is_rectified}

    def update(self, parameters: Array, slots: Slots, gradient: Array, factors: Factors) -> tuple[Array, Slots]:
        """Return the parameters and slots after one update."""
        mean, square = moments(slots, effective(parameters, gradient, factors.decay), factors)
        scale = factors.plain + factors.rectified / (square**0.5 + factors.epsilon)
        return factors.keep * parameters - scale * mean, (mean, square)

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
        denominator = root + factors.epsilon
        mean_bar = slots_bar[0] - (factors.plain + factors.rectified / denominator) * parameters_bar
        root_bar = parameters_bar * mean * factors.rectified / (denominator * denominator)
        square_bar = slots_bar[1] + 0.5 * root_bar / (root + TINY)
        before, gradient_bar = moments_vjp(mean_bar, square_bar, gradient, factors)
        parameters_bar = factors.keep * parameters_bar
        parameters_bar = effective_vjp(parameters_bar, gradient_bar, factors.decay)
        return parameters_bar, before, gradient_bar
