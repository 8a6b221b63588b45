"""Which parameters of a model a run trains: a predicate on names, names, or shell patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from dataval.checks import described
from dataval.errors import InvalidModelError

__all__ = ["Filter", "select"]

Filter = Callable[[str], bool] | Sequence[str] | None
"""Which parameters are trained; None for all."""

Parameter = TypeVar("Parameter")


def select(trainable: Mapping[str, Parameter], params: Filter, *, has_frozen: bool) -> dict[str, Parameter]:
    """Return the parameters to train by name, in the model's own order.

    Parameters
    ----------
    trainable : mapping of str to parameter
        Those that the model has not frozen.
    params
        Which of them.
    has_frozen : bool
        Whether the model has others.

    Raises
    ------
    InvalidModelError
        If nothing is left, or a name selects nothing.
    """
    if not trainable:
        raise InvalidModelError(
            "the model has no trainable parameter: "
            + ("all are frozen" if has_frozen else "it has none at all")
        )
    selected = {name: p for name, p in trainable.items() if _matches(name, params)}
    unmatched = [
        pattern for pattern in _patterns(params) if not any(fnmatchcase(n, pattern) for n in trainable)
    ]
    if unmatched or not selected:
        raise InvalidModelError(
            f"params={params!r} selects no trainable parameter"
            + (f" with {unmatched}" if unmatched else "")
            + f"; the model has {list(trainable)}"
        )
    return selected


def _matches(name: str, params: Filter) -> bool:
    if params is None:
        return True
    if callable(params):
        return _asked(params, name)
    return any(fnmatchcase(name, pattern) for pattern in _patterns(params))


def _asked(choose: Callable[[str], bool], name: str) -> bool:
    try:
        return bool(choose(name))
    except Exception as error:
        raise InvalidModelError(
            f"params failed on the parameter {name!r}: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _patterns(params: Filter) -> Sequence[str]:
    if params is None or callable(params):
        return []
    patterns: object = [params] if isinstance(params, str) else params
    if not isinstance(patterns, list | tuple | set | frozenset) or not all(
        isinstance(p, str) for p in patterns
    ):
        raise TypeError(
            f"params must be the names of parameters (with * for any letters), or a function of a name, got "
            f"{described(params)}"
        )
    return list(patterns)
