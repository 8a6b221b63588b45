"""What recording a run and going back over it take of memory."""

from __future__ import annotations

from dataval.memory_plan import MemoryPlan, Need
from dataval.training.program import Program
from dataval.training.run import TrainingRun

__all__ = ["activation_need", "check_training", "kept_states_need", "plan_training", "replayed_states_need"]

_OF_STATES = "lower Learner(checkpoints=Checkpoints(max_bytes=...)): what isn't kept is computed again"
_OF_BATCH = "choose a smaller Training(batch_size=...)"
_COPIES = 3  # of a state, beside those that are kept: before an update, after it, and its gradient


def plan_training(program: Program, run: TrainingRun) -> MemoryPlan:
    """Return what carrying out a run will take."""
    needs = [kept_states_need(run), activation_need(program), _losses_need(run)]
    return MemoryPlan.of("training", needs, program.backend.free_bytes)


def check_training(program: Program, run: TrainingRun) -> None:
    """Raise `InsufficientMemoryError` if the run can't fit into memory."""
    plan_training(program, run).check()


def kept_states_need(run: TrainingRun) -> Need:
    """Return what the states take that a run keeps, or has still to keep."""
    n_all = run.n_steps // run.policy.interval(run.n_steps, run.state_bytes) + 1 + _COPIES
    n_new = max(0, n_all - len(run.checkpoints))
    return Need(f"{n_new} states of {run.state_bytes:,} bytes", n_new * run.state_bytes, _OF_STATES)


def replayed_states_need(run: TrainingRun) -> Need:
    """Return what the states take that are computed again between two kept ones."""
    interval = run.policy.interval(run.n_steps, run.state_bytes)
    n_held = min(interval, run.policy.workspace(run.state_bytes)) if interval > 1 else 0
    return Need(f"{n_held} states between two that are kept", n_held * run.state_bytes, _OF_STATES)


def activation_need(program: Program, n_passes: int = 1) -> Need:
    """Return what a batch's activations take, for derivatives as many times over as `n_passes`."""
    size = min(program.training.batch_size, len(program.data))
    n_bytes = n_passes * size * program.backend.activation_bytes
    return Need(f"the activations of {size} samples", n_bytes, _OF_BATCH)


def _losses_need(run: TrainingRun) -> Need:
    n_bytes = 0 if run.n_completed else int(run.losses.nbytes)
    return Need("the losses of all samples in all epochs", n_bytes, "choose fewer epochs")
