"""The random states of an estimator and of all that it is made of, held fixed."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

__all__ = ["fixed", "random_states"]


def random_states(estimator: Any) -> list[str]:
    """Return the names of all parameters that are random states, such as ``"forest__random_state"``."""
    return [name for name in estimator.get_params(deep=True) if name.split("__")[-1] == "random_state"]


def fixed(estimator: Any, seed: int | None) -> Any:
    """Return a clone whose random states are all a seed; for None, those are 0 that would be drawn anew.

    Parameters
    ----------
    estimator : estimator
        Also a pipeline or a search of scikit-learn.
    seed : int or None
        What all random states become.
    """
    copy = clone(estimator)
    known = copy.get_params(deep=True)
    chosen = dict.fromkeys(random_states(copy), 0 if seed is None else seed)
    return copy.set_params(
        **{name: value for name, value in chosen.items() if seed is not None or known[name] is None}
    )
