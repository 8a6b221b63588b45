"""What Keras's optimizers are told, and what they remember, in this library's terms.

Keras's formulas are those of `SGD`, `Adam` and `AdamW` under other numbers, which change from update to
update: its momentum holds the learning rate in it, and its epsilon is added before the second moment is
corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dataval.training.optimizers import SGD, Adam, AdamW, Optimizer
from dataval.training.tape import Setting

__all__ = ["Watched"]

_KNOWN = (keras.optimizers.SGD, keras.optimizers.Adam, keras.optimizers.AdamW)


class Watched:
    """An optimizer of Keras that ``fit`` calls.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
    variables : sequence of keras.Variable
        The model's parameters, in the order of the backend's.
    """

    def __init__(self, optimizer: Any, variables: Sequence[Any]) -> None:
        self.optimizer, self.variables = optimizer, list(variables)
        self._former_rate: float | None = None

    @property
    def problems(self) -> list[str]:
        """Why its updates can't be done again."""
        own, name = self.optimizer, type(self.optimizer).__name__
        if type(own) not in _KNOWN:
            return [f"the optimizer {name} isn't known (known are exactly SGD, Adam and AdamW of Keras)"]
        found = {
            "amsgrad=True": getattr(own, "amsgrad", False),
            "use_ema=True: averaged weights are written back": own.use_ema,
            "clipnorm, which clips each variable alone": own.clipnorm,
            "clipvalue": own.clipvalue,
            "gradient_accumulation_steps": own.gradient_accumulation_steps,
            "loss_scale_factor": own.loss_scale_factor,
            "weight_decay of SGD, which shrinks the weights themselves": self._is_sgd and own.weight_decay,
        }
        return [
            f"the optimizer has {what}, which can't be done again" for what, is_on in found.items() if is_on
        ]

    @property
    def clip_norm(self) -> float | None:
        """What it clips the norm of all gradients together to."""
        limit = self.optimizer.global_clipnorm
        return None if limit is None else float(limit)

    def described(self) -> Optimizer:
        """Return our optimizer of the same kind."""
        own, rate = self.optimizer, float(self.optimizer.learning_rate)
        if type(own) not in _KNOWN:
            return SGD(learning_rate=rate or 1.0)
        if self._is_sgd:
            momentum = float(own.momentum)
            return SGD(learning_rate=rate or 1.0, momentum=momentum, nesterov=bool(momentum and own.nesterov))
        kind = AdamW if own.weight_decay else Adam
        decay: dict[str, Any] = {"weight_decay": float(own.weight_decay)} if own.weight_decay else {}
        betas = (float(own.beta_1), float(own.beta_2))
        options: dict[str, Any] = {"learning_rate": rate or 1.0, "betas": betas, "epsilon": float(own.epsilon)}
        return kind(**options, **decay)

    def setting(self) -> Setting:
        """Return what it is told for the update that comes."""
        rate = float(self.optimizer.learning_rate)
        of_each = [self._sgd(rate)] if self._is_sgd or not self._is_known else self._adam(rate)
        self._former_rate = rate
        groups = [0 if len(of_each) == 1 or self._decays(v) else 1 for v in self.variables]
        return Setting(tuple(of_each), tuple(groups), (True,) * len(groups))

    def count(self) -> int:
        """Return how many updates it has done."""
        return int(self.optimizer.iterations)

    def slots(self, n_slots: int) -> tuple[NDArray[Any], ...]:
        """Return what it remembers, as flat vectors."""
        if not n_slots:
            return ()
        if self._is_sgd:
            rate = self._former_rate or 1.0
            return (-self._flat("momentums") / np.asarray(rate, self._flat("momentums").dtype),)
        return self._flat("_momentums"), self._flat("_velocities")

    def values(self) -> NDArray[Any]:
        """Return the parameters as a flat vector."""
        return np.concatenate([np.asarray(v).ravel() for v in self.variables])

    @property
    def _is_sgd(self) -> bool:
        return type(self.optimizer) is keras.optimizers.SGD

    @property
    def _is_known(self) -> bool:
        return type(self.optimizer) in _KNOWN

    def _sgd(self, rate: float) -> dict[str, float]:
        """Return the numbers of an update ``v' = m v + g`` whose velocity is Keras's over minus the rate."""
        momentum = float(getattr(self.optimizer, "momentum", 0.0))
        former = rate if self._former_rate is None else self._former_rate
        return {
            "learning_rate": rate,
            "momentum": momentum * former / rate if rate else 0.0,
            "dampening": 0.0,
            "weight_decay": 0.0,
        }

    def _adam(self, rate: float) -> list[dict[str, float]]:
        """Return the numbers of Keras's update: its corrections take the betas in the variables' precision."""
        own, number = self.optimizer, int(self.optimizer.iterations) + 1
        betas = float(own.beta_1), float(own.beta_2)
        kept, rounded = (
            _correction(*each, number) for each in (betas, (self._cast(betas[0]), self._cast(betas[1])))
        )
        common = {
            "learning_rate": rate * rounded / kept,
            "beta1": betas[0],
            "beta2": betas[1],
            "epsilon": float(own.epsilon) / (1 - betas[1] ** number) ** 0.5,
        }
        decay = float(own.weight_decay or 0.0) * kept / rounded
        decayed = [common | {"weight_decay": decay}]
        return decayed if all(map(self._decays, self.variables)) else [*decayed, common | {"weight_decay": 0.0}]

    def _cast(self, number: float) -> float:
        return float(keras.ops.cast(number, self.variables[0].dtype))

    def _decays(self, variable: Any) -> bool:
        return not self.optimizer.weight_decay or bool(self.optimizer._use_weight_decay(variable))

    def _flat(self, name: str) -> NDArray[Any]:
        """Return what is remembered of each of the variables; 0 before the optimizer is built."""
        if not self.optimizer.built:
            return np.zeros_like(self.values())
        kept = getattr(self.optimizer, name)
        return np.concatenate(
            [np.asarray(kept[self.optimizer._get_variable_index(v)]).ravel() for v in self.variables]
        )


def _correction(beta1: float, beta2: float, number: int) -> float:
    return float((1 - beta2**number) ** 0.5 / (1 - beta1**number))
