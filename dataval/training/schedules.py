"""Learning-rate schedules: the factor that multiplies the optimizer's learning rate at every update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dataval.options import Options

__all__ = [
    "AnySchedule",
    "ConstantSchedule",
    "CosineSchedule",
    "ExplicitSchedule",
    "Schedule",
    "StepSchedule",
]


class Schedule(Options, ABC):
    """A frozen description of a schedule, with an optional linear warm-up before it.

    Parameters
    ----------
    warmup_steps : int, default 0
        Over the first so many updates the factor rises linearly: update ``t`` (from 0) is multiplied
        by ``(t + 1) / (warmup_steps + 1)``. The schedule itself runs from update 0 all the same.
    """

    name: str
    warmup_steps: int = Field(default=0, ge=0)

    def factors(self, n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        """Return the factor of every update.

        Parameters
        ----------
        n_steps : int
            Number of updates of the whole run.
        steps_per_epoch : int
            Number of updates of one epoch.

        Returns
        -------
        ndarray of float64, shape (n_steps,)
        """
        steps = np.arange(n_steps)
        warmup = np.minimum(1.0, (steps + 1) / (self.warmup_steps + 1))
        return warmup * self._factors(steps, n_steps, steps_per_epoch)

    def momenta(self, n_steps: int, steps_per_epoch: int) -> NDArray[np.float64] | None:
        """Return the momentum (Adam's first beta) of every update, or None for the optimizer's own."""
        return None

    @abstractmethod
    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]: ...


class ConstantSchedule(Schedule):
    """Factor 1 throughout (after the warm-up, if there is one)."""

    name: Literal["constant"] = "constant"

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        return np.ones(n_steps)


class StepSchedule(Schedule):
    """Multiply by `gamma` every `every_epochs` epochs, as ``torch.optim.lr_scheduler.StepLR`` does.

    Parameters
    ----------
    every_epochs : int
        Epochs between two drops, > 0.
    gamma : float, default 0.1
        What a drop multiplies by, > 0.
    """

    name: Literal["step"] = "step"
    every_epochs: int = Field(gt=0)
    gamma: float = Field(default=0.1, gt=0)

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        return self.gamma ** (steps // (steps_per_epoch * self.every_epochs)).astype(np.float64)


class CosineSchedule(Schedule):
    r"""Fall along half a cosine over the whole run (Loshchilov & Hutter, 2017, without restarts).

    .. math:: f_t = f_{\min} + \tfrac12 (1 - f_{\min})\left(1 + \cos\frac{\pi t}{T}\right)

    Parameters
    ----------
    min_factor : float, default 0
        :math:`f_{\min}`, in [0, 1].
    """

    name: Literal["cosine"] = "cosine"
    min_factor: float = Field(default=0.0, ge=0, le=1)

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        wave = 0.5 * (1 + np.cos(np.pi * steps / n_steps))
        return np.asarray(self.min_factor + (1 - self.min_factor) * wave)


class ExplicitSchedule(Schedule):
    """A factor for every update, or for every epoch.

    Parameters
    ----------
    values : sequence of float
        Factors >= 0: as many as the run has updates (``per="step"``) or epochs (``per="epoch"``).
    per : {"step", "epoch"}, default "step"
    """

    name: Literal["explicit"] = "explicit"
    values: tuple[float, ...] = Field(min_length=1)
    per: Literal["step", "epoch"] = "step"

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if min(self.values) < 0:
            raise ValueError("the factors of an explicit schedule must not be negative")
        return self

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        repeats = 1 if self.per == "step" else steps_per_epoch
        factors = np.repeat(np.asarray(self.values), repeats)
        if len(factors) != n_steps:
            raise ValueError(
                f"the explicit schedule has {len(self.values)} values per {self.per}, "
                f"but the run has {n_steps // repeats} {self.per}s"
            )
        return factors


AnySchedule = Annotated[
    ConstantSchedule | StepSchedule | CosineSchedule | ExplicitSchedule,
    Field(discriminator="name"),
]
