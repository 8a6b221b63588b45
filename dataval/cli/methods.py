"""The valuation methods by their names on the command line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import dataval.methods
from dataval.cli.errors import UsageError

if TYPE_CHECKING:
    from dataval.training.learner import Learner

__all__ = ["METHODS", "make_methods"]

_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "hydra": ("HyDRA", {}),
    "hydra-exact": ("HyDRA", {"hessian": True}),
    "influence": ("InfluenceFunction", {}),
    "loo": ("LeaveOneOut", {}),
    "tracin": ("TracIn", {}),
    "aum": ("AreaUnderMargin", {}),
    "forgetting": ("ForgettingEvents", {}),
    "el2n": ("EL2N", {}),
    "grand": ("GraNd", {}),
    "mean-loss": ("MeanLoss", {}),
    "random": ("RandomValues", {}),
}

METHODS = {
    name: partial(getattr(dataval.methods, kind), **options)
    for name, (kind, options) in _CLASSES.items()
    if hasattr(dataval.methods, kind)
}
"""What makes each method from a learner."""


def make_methods(names: tuple[str, ...], learner: Learner) -> dict[str, Any]:
    """Return methods by name.

    Raises
    ------
    UsageError
        If a name is unknown.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise UsageError(f"unknown method {unknown[0]!r}: choose among {', '.join(METHODS)}")
    return {name: METHODS[name](learner) for name in names}
