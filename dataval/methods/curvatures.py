"""How much of the training loss's curvature HyDRA follows back through a run, and the sweep that does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from dataval.backend.layers import Blocks, compact
from dataval.checks import flag, one_of
from dataval.training.program import Program, State
from dataval.training.replay import Replay
from dataval.training.sweep import BackwardSweep, ForwardSweep, Pullback, Sweep

__all__ = ["SweepCurvature", "check_curvature", "curvature_of", "make_sweep", "pullback_of"]

SweepCurvature = Literal["exact", "gauss_newton", "none"]

_CURVATURES: tuple[SweepCurvature, ...] = ("exact", "gauss_newton", "none")


def curvature_of(hessian: bool | None, curvature: SweepCurvature | None) -> SweepCurvature:
    """Return what is followed, of two arguments that say it.

    Raises
    ------
    TypeError, ValueError
        If one of them is none that there is, or they contradict each other.
    """
    by_flag: SweepCurvature = "exact" if hessian is not None and flag("hessian", hessian) else "none"
    if curvature is None:
        return by_flag
    found = one_of("curvature", curvature, _CURVATURES)
    if hessian is not None and found != by_flag:
        raise ValueError(
            f"hessian={hessian} is curvature={by_flag!r}, which contradicts curvature={found!r}: pass one of "
            "the two"
        )
    return found


def check_curvature(curvature: SweepCurvature, program: Program) -> None:
    """Raise, before any training, if the model or loss lacks the derivatives that are followed."""
    if curvature == "exact":
        program.check_second_order()
    elif curvature == "gauss_newton":
        program.check_gauss_newton()


def pullback_of(curvature: SweepCurvature, program: Program) -> Pullback | None:
    """Return the pullback that follows the gradient's dependence on the parameters; None where it is cut."""
    if curvature == "none":
        return None
    return program.pullback if curvature == "exact" else program.pullback_gauss_newton


def make_sweep(
    curvature: SweepCurvature, replay: Replay, start: State, layers: Callable[[], Blocks] | None
) -> Sweep:
    """Return the sweep that finds the values which belong to a cotangent of the last state, or to K.

    Parameters
    ----------
    curvature : str
        What is followed.
    replay : Replay
        Of the run.
    start : State
        The cotangent.
    layers : callable, optional
        Returns the cotangents of the parameters by layer.
    """
    program = replay.program
    if (pullback := pullback_of(curvature, program)) is not None:
        return BackwardSweep(replay, start, pullback)
    if not program.is_linear:
        return BackwardSweep(replay, start, program.pullback_hessian_free)
    is_one = layers is None or int(start.parameters.shape[0]) == 1
    if layers is not None and not is_one and program.backend.loss.has_layers:
        return ForwardSweep(replay, start.parameters, compact(program.backend.arrays, layers()))
    return ForwardSweep(replay, start.parameters)
