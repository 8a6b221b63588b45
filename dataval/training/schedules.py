"""Learning-rate schedules: the factor that multiplies the optimizer's learning rate at every update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from dataval.identity import identity
from dataval.options import Options

__all__ = [
    "AnySchedule",
    "CallableSchedule",
    "ConstantSchedule",
    "CosineSchedule",
    "ExplicitSchedule",
    "ExponentialSchedule",
    "LinearSchedule",
    "OneCycleSchedule",
    "PolynomialSchedule",
    "Schedule",
    "StepSchedule",
]


Momentum = Annotated[float, Field(ge=0, lt=1)]


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


class LinearSchedule(Schedule):
    r"""Go to a last factor in a straight line, as ``torch.optim.lr_scheduler.LinearLR`` from 1.

    .. math:: f_t = 1 + (f_{\text{end}} - 1)\,\frac{t}{T}

    Parameters
    ----------
    end_factor : float, default 0
        :math:`f_{\text{end}} \ge 0`, which an update after the last would have.
    """

    name: Literal["linear"] = "linear"
    end_factor: float = Field(default=0.0, ge=0)

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        return 1 + (self.end_factor - 1) * steps / n_steps


class PolynomialSchedule(Schedule):
    r"""Fall as a power of what is left, as ``torch.optim.lr_scheduler.PolynomialLR``.

    .. math:: f_t = f_{\text{end}} + (1 - f_{\text{end}})\left(1 - \frac{t}{T}\right)^p

    Parameters
    ----------
    power : float, default 1
        :math:`p > 0`.
    end_factor : float, default 0
        :math:`f_{\text{end}}`, in [0, 1].
    """

    name: Literal["polynomial"] = "polynomial"
    power: float = Field(default=1.0, gt=0)
    end_factor: float = Field(default=0.0, ge=0, le=1)

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        return np.asarray(self.end_factor + (1 - self.end_factor) * (1 - steps / n_steps) ** self.power)


class ExponentialSchedule(Schedule):
    """Multiply by `gamma` after every epoch, as ``torch.optim.lr_scheduler.ExponentialLR``.

    Parameters
    ----------
    gamma : float
        In (0, 1].
    """

    name: Literal["exponential"] = "exponential"
    gamma: float = Field(gt=0, le=1)

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        return np.asarray(self.gamma ** (steps // steps_per_epoch).astype(np.float64))


class OneCycleSchedule(Schedule):
    r"""Rise to the optimizer's learning rate and fall far below, as ``torch.optim.lr_scheduler.OneCycleLR``.

    The momentum (Adam's first beta) goes the other way.

    Parameters
    ----------
    rising_share : float, default 0.3
        Share of the updates over which the rate rises, in (0, 1).
    start_divisor : float, default 25
        The first factor is 1 over it.
    end_divisor : float, default 1e4
        The last factor is the first one over it.
    anneal : {"cosine", "linear"}, default "cosine"
        How it goes from one to the next.
    three_phases : bool, default False
        Fall back to the first factor in a phase as long as the rise, and below in a third.
    momentum : (float, float) or None, default (0.85, 0.95)
        Smallest and largest momentum; None leaves it as the optimizer has it.

    References
    ----------
    Smith & Topin (2019). Super-convergence: very fast training of neural networks using large learning rates.
    """

    name: Literal["one_cycle"] = "one_cycle"
    rising_share: float = Field(default=0.3, gt=0, lt=1)
    start_divisor: float = Field(default=25.0, gt=0)
    end_divisor: float = Field(default=1e4, gt=0)
    anneal: Literal["cosine", "linear"] = "cosine"
    three_phases: bool = False
    momentum: tuple[Momentum, Momentum] | None = (0.85, 0.95)

    def momenta(self, n_steps: int, steps_per_epoch: int) -> NDArray[np.float64] | None:
        """Return the momentum of every update."""
        if self.momentum is None:
            return None
        low, high = self.momentum
        return self._through(n_steps, [high, low, high, high])

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        first = 1 / self.start_divisor
        last = first / self.end_divisor
        return self._through(n_steps, [first, 1.0, first if self.three_phases else last, last])

    def _through(self, n_steps: int, values: Sequence[float]) -> NDArray[np.float64]:
        """Return what goes through some values, one at the end of each phase."""
        rise = self.rising_share * n_steps
        ends = [0.0, rise - 1, *([2 * rise - 2] if self.three_phases else []), float(n_steps - 1)]
        if min(np.diff(ends)) <= 0:
            raise ValueError(f"a one-cycle schedule needs more than {n_steps} updates, or another rising_share")
        steps = np.arange(n_steps, dtype=np.float64)
        phase = np.clip(np.searchsorted(ends, steps, side="left") - 1, 0, len(ends) - 2)
        start, stop = np.array(ends)[phase], np.array(ends)[phase + 1]
        share = (steps - start) / (stop - start)
        if self.anneal == "cosine":
            share = (1 - np.cos(np.pi * share)) / 2
        at = np.array(values)
        return np.asarray(at[phase] + (at[phase + 1] - at[phase]) * share)


class CallableSchedule(Schedule):
    """Any function of the progress; ``Training(schedule=function)`` makes one.

    Parameters
    ----------
    function : callable
        Called with the progress t / T in [0, 1), returns a factor >= 0.
    code : str
        What tells the function from others: a saved run keeps this and its factors, not the function.
    """

    name: Literal["callable"] = "callable"
    function: Callable[[float], float] | None = Field(default=None, exclude=True, repr=False)
    code: str = ""

    @model_validator(mode="before")
    @classmethod
    def _find_code(cls, given: Any) -> Any:
        if callable(function := isinstance(given, dict) and given.get("function")):
            return {**given, "code": identity(function)}
        return given

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CallableSchedule):
            return NotImplemented
        return (self.code, self.warmup_steps) == (other.code, other.warmup_steps)

    def __hash__(self) -> int:
        return hash((self.code, self.warmup_steps))

    def _factors(self, steps: NDArray[np.int64], n_steps: int, steps_per_epoch: int) -> NDArray[np.float64]:
        if self.function is None:
            raise ValueError(
                "the schedule was a function, which a saved run doesn't hold: its own updates can be done "
                "again, for others pass the function to Training(schedule=...)"
            )
        factors = np.array([float(self.function(step / n_steps)) for step in steps])
        if not (np.isfinite(factors) & (factors >= 0)).all():
            at = int(np.argmin(np.isfinite(factors) & (factors >= 0)))
            raise ValueError(
                f"the schedule's function returned {factors[at]} at progress {at / n_steps:.3f}: it must "
                "return a finite factor >= 0"
            )
        return factors


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


def _as_schedule(given: Any) -> Any:
    """Read a function of the progress as a schedule."""
    is_function = callable(given) and not isinstance(given, Schedule | type)
    return CallableSchedule(function=given) if is_function else given


AnySchedule = Annotated[
    Annotated[
        ConstantSchedule
        | StepSchedule
        | CosineSchedule
        | LinearSchedule
        | PolynomialSchedule
        | ExponentialSchedule
        | OneCycleSchedule
        | CallableSchedule
        | ExplicitSchedule,
        Field(discriminator="name"),
    ],
    BeforeValidator(_as_schedule),
]
