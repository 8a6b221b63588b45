"""The likely reasons why an update of a loop, done again, gives something else, tried one by one and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from dataval.training.evidence import norm_of
from dataval.training.optimizers import Adam, AdamW, Optimizer
from dataval.training.tape import Setting

__all__ = ["explain_change", "explain_gradient", "explain_step"]

_FIT = 1e-3  # what of a difference may remain for a reason to be named
_SAID_NAMES = 3

FloatArray = NDArray[Any]
Step = Callable[[Optimizer, Setting], FloatArray]


def explain_gradient(
    names: Sequence[str],
    expected: Sequence[FloatArray],
    found: Sequence[FloatArray],
    parameters: Sequence[FloatArray],
    previous: Sequence[FloatArray] | None,
    clip_norm: float | None,
    tolerance: float,
) -> str:
    """Say why the gradients that the optimizer used are not those of the losses.

    Parameters
    ----------
    names : sequence of str
        Of the parameter arrays, as the others are in order.
    expected, found, parameters : sequence of ndarray
        The gradients of the losses (clipped, where the recorder was told so), those used, and where.
    previous : sequence of ndarray, optional
        What the optimizer used when it was last looked at.
    clip_norm : float or None
        What the recorder was told.
    tolerance : float
        Relative differences that count as none.
    """
    bad = [i for i in range(len(names)) if not _alike(found[i], expected[i], tolerance)]
    mine, theirs, at = (_joined(arrays, bad) for arrays in (expected, found, parameters))
    which = _named(names, bad)
    factor, rest = _multiple(theirs, mine)
    if rest < _FIT and abs(factor - 1) > _FIT and (len(bad) > 1 or len(names) == 1):
        norm = norm_of(_joined(found, range(len(names))))
        return _explain_factor(factor, norm, clip_norm, which)
    decay, rest = _multiple(theirs - mine, at)
    if rest < _FIT:
        return (
            f"weight decay: {decay:.4g} times the parameters is added to the gradients of {which} outside "
            "of the optimizer (a penalty in the loss, or by hand): give it to the optimizer as "
            "weight_decay of a group"
        )
    if previous is not None and _multiple(theirs - mine, _joined(previous, bad))[1] < _FIT:
        return "the gradients of an earlier update were not zeroed: call optimizer.zero_grad() once an update"
    bound = float(np.abs(theirs).max())
    if _alike(mine.clip(-bound, bound), theirs, tolerance):
        return f"the gradients are clipped by value (to {bound:.4g}), which can't be done again: clip by norm"
    return (
        f"the gradients of {which} are not those of the samples' losses: the loop's loss has other terms, "
        "the loss given to the recorder is another one, or gradients are changed after the backward pass "
        "(noise, hooks)"
    )


def explain_step(
    optimizer: Optimizer,
    setting: Setting,
    step: Step,
    after: FloatArray,
    mine: FloatArray,
    names: Sequence[str],
    sizes: Sequence[int],
) -> str:
    """Say why the optimizer's step is not what its options say.

    Parameters
    ----------
    optimizer : Optimizer
        As the recorder takes it.
    setting : Setting
        What it was told.
    step : callable
        (optimizer, setting) -> parameters and slots after the update, ``(1 + n_slots, P)``.
    after, mine : ndarray
        Those of the loop, and those that the options give.
    names, sizes : sequence
        Of the parameter arrays.
    """
    spans = np.cumsum([0, *sizes])
    parts = [slice(start, stop) for start, stop in pairwise(spans)]
    scale = norm_of(after - mine)
    bad = [i for i, part in enumerate(parts) if norm_of(after[:, part] - mine[:, part]) > _FIT * scale]
    which = _named(names, bad)

    def distance(found: FloatArray) -> float:
        return sum(norm_of(found[:, parts[i]] - after[:, parts[i]]) for i in bad)

    for other in _alternatives(optimizer):
        if distance(step(other, setting)) < _FIT * scale:
            return f"the updates of {which} are those of {type(other).__name__}, not {type(optimizer).__name__}"
    for name in optimizer.hyperparameters:
        told = setting.values[setting.groups[bad[0]]][name]

        def distance_at(value: float, name: str = name) -> float:
            return distance(step(optimizer, _with(setting, bad, name, value)))

        fitted, left = _fitted(distance_at, name, told)
        if left < _FIT * scale:
            return (
                f"{name}: the updates of {which} are those of {name}={fitted:.4g}, while the optimizer's group "
                f"says {told:.4g}: it is changed where the recorder can't see it"
            )
    return (
        f"the updates of {which} are not what {type(optimizer).__name__} does with its options and these "
        "gradients: a changed step, hooks that run after the recorder's, or parameters written to meanwhile"
    )


def explain_change(
    names: Sequence[str], before: Sequence[FloatArray], now: Sequence[FloatArray], step: int
) -> str:
    """Say how parameters were changed between two updates."""
    bad = [i for i in range(len(names)) if not np.array_equal(before[i], now[i])]
    factor, rest = _multiple(_joined(now, bad), _joined(before, bad))
    what = f"the parameters {_named(names, bad)} were changed outside of the optimizer after update {step}"
    if rest < 1e-6:
        return f"{what}: multiplied by {factor:.6g} (weight decay by hand? give it to the optimizer)"
    return f"{what}: averaging of weights (EMA, SWA) that is written back, constraints, pruning or a restart"


def _explain_factor(factor: float, norm: float, clip_norm: float | None, which: str) -> str:
    if clip_norm is not None and factor > 1:
        return (
            f"clip_norm={clip_norm} was given, but the loop does not clip so: its gradients are "
            f"{factor:.6g} times those that are clipped, with a norm of {norm:.6g}"
        )
    exponent = log2(factor) if factor > 0 else 0.5
    if abs(exponent) >= 3 and abs(exponent - round(exponent)) < 1e-3:
        return (
            f"the gradients are {factor:.6g} times those of the losses: pass the loop's GradScaler as scaler="
        )
    whole = 1 / factor if abs(factor) < 1 else factor
    if abs(whole - round(whole)) < 1e-3 * abs(whole):
        done = "divided" if abs(factor) < 1 else "multiplied"
        return (
            f"a divisor: the gradients of {which} are {done} by {whole:.4g} between the backward pass and the "
            "step: divide the loss instead"
        )
    return (
        f"the gradients of {which} are {factor:.6g} times those of the losses: if they are clipped, pass "
        f"clip_norm (here they have a norm of {norm:.6g})"
    )


def _alternatives(optimizer: Optimizer) -> list[Optimizer]:
    """Return optimizers that are easily taken for this one."""
    own = {name: getattr(optimizer, name) for name in type(optimizer).model_fields if name != "name"}
    if isinstance(optimizer, Adam | AdamW):
        return [(Adam if isinstance(optimizer, AdamW) else AdamW)(**own)]
    if "nesterov" in own and own.get("momentum"):
        return [type(optimizer)(**own | {"nesterov": not own["nesterov"], "dampening": 0.0})]
    return []


def _fitted(distance: Callable[[float], float], name: str, told: float) -> tuple[float, float]:
    """Return the value of a hyperparameter that fits best, and what remains."""
    is_share = name.startswith(("beta", "momentum", "alpha"))
    ranges = [(0.0, 1.0 - 1e-9)] if is_share else [(0.0, 4 * told + 1e-3), (0.0, 1.0)]
    found = [
        minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 1e-10})
        for bounds in ranges
    ]
    best = min(found, key=lambda each: each.fun)
    return float(best.x), float(best.fun)


def _with(setting: Setting, arrays: Sequence[int], name: str, value: float) -> Setting:
    """Return a setting with another value of one hyperparameter for some parameter arrays."""
    values, groups = list(setting.values), list(setting.groups)
    for i in arrays:
        values.append({**setting.values[setting.groups[i]], name: value})
        groups[i] = len(values) - 1
    return replace(setting, values=tuple(values), groups=tuple(groups))


def _multiple(found: FloatArray, of: FloatArray) -> tuple[float, float]:
    """Return the multiple of a vector that is nearest to another, and what remains, relative to it."""
    square, size = float(of @ of), norm_of(found)
    if square == 0 or size == 0:
        return 0.0, 1.0
    factor = float(found @ of) / square
    return factor, norm_of(found - factor * of) / size


def _alike(found: FloatArray, expected: FloatArray, tolerance: float) -> bool:
    return norm_of(found - expected) <= tolerance * max(norm_of(found), norm_of(expected))


def _joined(arrays: Sequence[FloatArray], which: Sequence[int]) -> FloatArray:
    return np.concatenate([arrays[i].reshape(-1).astype(np.float64) for i in which])


def _named(names: Sequence[str], which: Sequence[int]) -> str:
    if len(which) == len(names):
        return "all parameters"
    said = ", ".join(names[i] for i in which[:_SAID_NAMES])
    return said if len(which) <= _SAID_NAMES else f"{said} and {len(which) - _SAID_NAMES} more"
