"""Which state of a run a score that is taken early in training looks at."""

from __future__ import annotations

from dataval.checks import whole_number
from dataval.errors import RunMismatchError
from dataval.methods.of_states import States
from dataval.training.config import Training
from dataval.training.program import State
from dataval.training.replay import Replay

__all__ = ["check_epoch", "check_epoch_of_run", "state_after"]

_EARLY = 0.1  # share of the epochs; Paul et al. take 10 to 20 of 200


def check_epoch(epoch: int | None, training: Training) -> None:
    """Raise if there is no state after so many epochs."""
    if epoch is not None and not 0 <= whole_number("epoch", epoch) <= training.epochs:
        raise ValueError(f"epoch must lie in 0 ... {training.epochs} (0: the initialisation), got {epoch}")


def check_epoch_of_run(epoch: int | None, replay: Replay, method: str) -> None:
    """Raise `RunMismatchError` if a run of states alone doesn't say which of them is early."""
    if replay.run.origin != "states":
        return
    n_states = replay.run.n_steps
    if epoch == 0 and not isinstance(epoch, bool):
        raise RunMismatchError(
            f"{method} can't look at the initialisation of a run that holds states alone: give it as the first "
            f"of the states, and choose an epoch in 1 ... {n_states}, the number of a state"
        )
    if epoch is None and n_states == 1:
        raise RunMismatchError(
            f"{method} is a score of early training, and the run has one state: give early states too, or say "
            f"that it shall be of this one, {method}(learner, epoch=1)"
        )


def state_after(states: States, epoch: int | None) -> State:
    """Return the state after so many epochs, by default a tenth of them and at least one."""
    chosen = max(1, round(_EARLY * states.program.training.epochs)) if epoch is None else epoch
    return states.at(int(states.program.plan.epoch_ends[chosen - 1]) if chosen else 0)
