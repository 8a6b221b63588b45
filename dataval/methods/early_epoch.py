"""Which state of a run a score that is taken early in training looks at."""

from __future__ import annotations

from dataval.training.config import Training
from dataval.training.program import State
from dataval.training.replay import Replay

__all__ = ["check_epoch", "state_after"]

_EARLY = 0.1  # share of the epochs; Paul et al. take 10 to 20 of 200


def check_epoch(epoch: int | None, training: Training) -> None:
    """Raise if there is no state after so many epochs."""
    if epoch is not None and not 0 <= epoch <= training.epochs:
        raise ValueError(f"epoch must lie in 0 ... {training.epochs} (0: the initialisation), got {epoch}")


def state_after(replay: Replay, epoch: int | None) -> State:
    """Return the state after so many epochs, by default a tenth of them and at least one."""
    chosen = max(1, round(_EARLY * replay.run.training.epochs)) if epoch is None else epoch
    return replay.at(chosen * replay.run.plan.steps_per_epoch)
