"""Warning of a training that derivatives can't predict: what about it is the cause, and what helps."""

from __future__ import annotations

import warnings

from dataval.errors import ChaoticTrainingWarning
from dataval.training.stability import RunStability

__all__ = ["warn_unstable"]


def warn_unstable(stability: RunStability, stopped_at: int, *, exact: bool, callers: int) -> None:
    """Warn where the cotangent grew beyond all measure, naming the causes that the run shows.

    Parameters
    ----------
    stability : RunStability
        With the growth.
    stopped_at : int
        The update at which a cotangent overflowed; -1 if none did.
    exact : bool
        Whether the Hessian was followed.
    callers : int
        Frames from here up to the user's call.
    """
    if not stability.is_chaotic:
        return
    what = f"grew by a factor of {stability.growth:.1e}"
    if stopped_at >= 0:
        what = f"overflowed at update {stopped_at}, so the values are NaN"
    help_ = "; for finding wrong labels use hessian=False" if exact else ""
    warnings.warn(
        f"the cotangent {what} over the backward sweep: training is chaotic here, and no derivative predicts "
        f"what retraining would do. {_advice(stability)}{help_}. verify() shows how far the values can be "
        "trusted",
        ChaoticTrainingWarning,
        stacklevel=callers + 1,
    )


def _advice(stability: RunStability) -> str:
    general = "A smaller learning rate, smooth activations (GELU), average pooling or larger batches help"
    return f"{general}. Of this run: {'. '.join(stability.risks)}" if stability.risks else general
