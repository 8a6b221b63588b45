"""What a run tells of how smooth its training was, at no cost: its rates, where its loss stood, its kinks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dataval.training.replay import Replay
from dataval.training.run import TrainingRun

__all__ = ["CHAOTIC_GROWTH", "RunStability", "effective_rates", "plateau_end", "run_stability"]

FloatArray = NDArray[np.float64]

HIGH_RATE = 0.1  # measured: networks of a few layers, standardised inputs
CHAOTIC_GROWTH = 1e3
_STILL_HIGH = 0.1  # of the largest rate, at the last update
_FEWEST = 20  # updates before which no loss can be said to stay anywhere
_WINDOW = 25  # the share of the updates over which losses are averaged is one over it
_LEFT = 0.05  # of the first loss: the fall that tells a plateau's end from the noise of batches
_LONG = 0.15  # of the updates on the first plateau


class RunStability(BaseModel):
    r"""How smooth a training was, as far as its recording tells; printable, and JSON by `model_dump_json`.

    Attributes
    ----------
    effective_rate : float or None
        The largest :math:`\eta(1-d)/(1-\mu)` of an update: how far a gradient that stays carries SGD with
        momentum :math:`\mu` and dampening :math:`d`. None for optimizers that scale gradients.
    last_rate : float
        The last update's learning rate, as a share of the largest one: 0 where the schedule falls to 0.
    plateau : float or None
        After which share of the updates the training loss had fallen by 5 % of what it was at first; 1 if it
        never did. None for runs of fewer than 20 updates.
    growth : float or None
        The largest norm of the cotangent in a backward sweep, relative to where it starts; None without one.
    kinks : tuple of str
        Layers with kinks (ReLU, max-pooling), as far as they can be seen: not the functions that a forward pass
        calls.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    effective_rate: float | None
    last_rate: float
    plateau: float | None
    growth: float | None
    kinks: tuple[str, ...]

    @property
    def risks(self) -> tuple[str, ...]:
        """What of it makes derivatives fail, each with what helps, the heaviest first; empty if nothing."""
        return tuple(filter(None, [self._of_rate(), self._of_schedule(), self._of_plateau(), self._of_kinks()]))

    @property
    def is_chaotic(self) -> bool:
        """Whether the cotangent grew so much that no derivative can predict retraining."""
        return self.growth is not None and not self.growth <= CHAOTIC_GROWTH

    def __str__(self) -> str:
        rate = "scaled by the optimizer" if self.effective_rate is None else f"{self.effective_rate:.3g}"
        parts = [f"effective rate {rate}, {self.last_rate:.2g} of the largest at the end"]
        if self.plateau is not None:
            never = "the loss never left its start"
            left = f"the loss left its start after {self.plateau:.0%}"
            parts.append(never if self.plateau == 1 else left)
        if self.growth is not None:
            parts.append(f"the cotangent grew by {self.growth:.3g}")
        parts.append(f"kinks: {', '.join(self.kinks)}" if self.kinks else "no kinks seen")
        return "\n".join(["; ".join(parts), *(f"- {risk}" for risk in self.risks)])

    def _of_rate(self) -> str:
        if self.effective_rate is None or self.effective_rate <= HIGH_RATE:
            return ""
        return (
            f"the effective rate, learning_rate / (1 - momentum), is {self.effective_rate:.2g}: take momentum "
            "0.5 and a smaller learning rate (Training.smooth())"
        )

    def _of_schedule(self) -> str:
        if self.last_rate <= _STILL_HIGH:
            return ""
        share = "" if self.last_rate == 1 else f" ({self.last_rate:.2g} of it is left)"
        return f"the learning rate does not fall to 0{share}: take schedule=CosineSchedule()"

    def _of_plateau(self) -> str:
        if self.plateau is None or self.plateau <= _LONG:
            return ""
        if self.plateau == 1:
            return (
                "the training loss never left its start, so that values are those of a network that did not "
                "learn: standardise the inputs, start with He's initialisation, or train for longer"
            )
        return (
            f"the training loss stayed at its start for {self.plateau:.0%} of the updates, and when it leaves "
            "is decided by little: standardise the inputs, and start with He's initialisation"
        )

    def _of_kinks(self) -> str:
        if not self.kinks:
            return ""
        return f"the model has kinks ({', '.join(self.kinks)}): take GELU and average pooling"


def run_stability(replay: Replay, growth: float | None = None) -> RunStability:
    """Read how smooth a training was off its recording; nothing is computed again.

    Parameters
    ----------
    replay : Replay
        A finished run with its program.
    growth : float, optional
        What a backward sweep found.
    """
    rates = replay.run.plan.learning_rates
    effective, largest = effective_rates(replay.run), float(rates.max())
    return RunStability(
        effective_rate=None if effective is None else float(effective.max()),
        last_rate=float(rates[-1]) / largest if largest > 0 else 0.0,
        plateau=plateau_end(update_losses(replay.run)),
        growth=growth,
        kinks=replay.program.backend.kinks(),
    )


def effective_rates(run: TrainingRun) -> FloatArray | None:
    r"""Return :math:`\eta(1-d)/(1-\mu)` of every update, ``(T,)``; None if the optimizer scales gradients.

    The largest where groups of parameters differ.
    """
    if not run.training.optimizer.linear:
        return None
    of, rates = run.plan.hyperparameters.values, run.plan.hyperparameters.learning_rates
    momentum, dampening = (of.get(name, np.zeros_like(rates)) for name in ("momentum", "dampening"))
    kept = np.where(momentum > 0, 1 - dampening, 1.0)
    return np.asarray((rates * kept / (1 - momentum)).max(axis=1))


def update_losses(run: TrainingRun) -> FloatArray:
    """Return the mean loss of the samples of every update before it, ``(T,)``; NaN where none is known."""
    plan, found = run.plan, np.full(run.plan.n_steps, np.nan)
    for step in range(plan.n_steps):
        batch = plan.batch(step)
        seen = run.losses[plan.epochs[step], batch]
        counts = (run.weights[batch] > 0) & np.isfinite(seen)
        if counts.any():
            found[step] = seen[counts].mean()
    return found


def plateau_end(losses: FloatArray) -> float | None:
    """Return after which share of the updates their loss had left its start; see `RunStability`.

    Parameters
    ----------
    losses : ndarray of float64, shape (T,)
        The loss of every update, NaN where unknown. A mean over T/25 updates (at least 3) has to have fallen by
        5 % of the first such mean, or of the first update's loss where that is smaller.
    """
    known = losses[np.isfinite(losses)]
    if len(known) < _FEWEST:
        return None
    window = max(3, len(known) // _WINDOW)
    sums = np.cumsum(np.concatenate([[0.0], known]))
    means = (sums[window:] - sums[:-window]) / window
    start = min(known[0], means[0])
    left = means < start - _LEFT * abs(start)
    return float(np.argmax(left)) / len(known) if left.any() else 1.0
