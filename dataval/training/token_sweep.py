"""A sweep that collects the derivative in the weight of every token's loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataval.backend import TrainingLoss
from dataval.training.program import State
from dataval.training.replay import Replay
from dataval.training.sweep import Pullback

__all__ = ["token_values"]


def token_values(
    replay: Replay,
    cotangent: State,
    tokens: TrainingLoss,
    n_tokens: int,
    *,
    pullback: Pullback | None,
    tick: Callable[[], Any],
) -> NDArray[np.float64]:
    """Return minus the derivative in the weight of every token's loss, shape ``(N, L)``.

    A sample's loss is the sum of its tokens', so that its value is the sum of theirs.

    Parameters
    ----------
    replay : Replay
        A finished run with its program.
    cotangent : State
        Of the last state.
    tokens : TrainingLoss
        Whose losses and slopes are ``(n, L)``: what each token contributes to its sample's loss.
    n_tokens : int
        L.
    pullback : callable, optional
        Of `Program`, following what the gradient's dependence on the parameters does; by default it is cut.
    tick : callable
        Called after every update.
    """
    program, values = replay.program, np.zeros((replay.run.n_samples, n_tokens))
    to_numpy, plan = program.backend.arrays.to_numpy, program.plan
    for step, state in replay.backward():
        before, along = program.through_update(cotangent, state, step)
        for number, buffers in zip(plan.passes(step), program.buffers(state, step), strict=True):
            passes = program.passes
            slopes = tokens.slope(state.parameters, buffers, passes.batch(number), along, passes.seed(number))
            found = plan.pass_coefficients(number)[:, None] * to_numpy(slopes)
            np.subtract.at(values, plan.samples(number), found)
        cotangent = before if pullback is None else pullback(cotangent, state, step)[0]
        tick()
    return values
