"""Which state of a run a score that is taken early in training looks at."""

from __future__ import annotations

from dataval.checks import whole_number
from dataval.methods.of_states import States
from dataval.training.config import Training
from dataval.training.program import State

__all__ = ["check_epoch", "state_after"]

_EARLY = 0.1  # share of the epochs; Paul et al. take 10 to 20 of 200


def check_epoch(epoch: int | None, training: Training) -> None:
    """Raise if there is no state after so many epochs."""
    if epoch is not None and not 0 <= whole_number("epoch", epoch) <= training.epochs:
        raise ValueError(f"epoch must lie in 0 ... {training.epochs} (0: the initialisation), got {epoch}")


def state_after(states: States, epoch: int | None) -> State:
    """Return the state after so many epochs, by default a tenth of them and at least one."""
    chosen = max(1, round(_EARLY * states.program.training.epochs)) if epoch is None else epoch
    return states.at(int(states.program.plan.epoch_ends[chosen - 1]) if chosen else 0)
