"""What was logged of every sample while somebody else trained."""

from __future__ import annotations

from typing import Literal

from dataval.errors import RunMismatchError
from dataval.training.replay import Replay

__all__ = ["check_log"]


def check_log(replay: Replay, method: str, name: Literal["losses", "margins"]) -> None:
    """Raise `RunMismatchError` if a run holds states alone, and not what a method needs of every epoch."""
    run = replay.run
    if run.origin == "states" and not len(getattr(run, name)):
        raise RunMismatchError(
            f"{method} needs every sample's {name} over the epochs, and the run holds states alone: pass "
            f"what was logged, TrainingRun.from_checkpoints(..., {name}=...) of shape (epochs, N), or "
            "take a run of learner.train(X, y)"
        )
