"""The valuation methods by their names on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dataval.methods
from dataval.cli.choices import METHODS
from dataval.cli.errors import UsageError

if TYPE_CHECKING:
    from dataval.training.learner import Learner

__all__ = ["make_methods"]

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
    "knn-shapley": ("KNNShapley", {}),
    "lava": ("LAVA", {}),
    "data-oob": ("DataOOB", {"learner": None}),
    "random": ("RandomValues", {}),
}


def make_methods(names: tuple[str, ...], learner: Learner) -> dict[str, Any]:
    """Return methods by name.

    Raises
    ------
    UsageError
        If a name is unknown or there twice.
    """
    if unknown := [name for name in names if name not in _CLASSES]:
        raise UsageError(f"unknown method {unknown[0]!r}: choose among {', '.join(METHODS)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"the method {twice[0]!r} is named twice: once is enough")
    return {name: _made(*_CLASSES[name], learner) for name in names}


def _made(kind: str, options: dict[str, Any], learner: Learner) -> Any:
    return getattr(dataval.methods, kind)(**{"learner": learner} | options)
