"""How far values can be believed, in one line that stands above everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dataval.checks import described
from dataval.metrics.fidelity import LinearDatamodelingScore
from dataval.training.stability import CHAOTIC_GROWTH

__all__ = ["Trust", "by_method", "trust_line"]

Level = Literal["good", "unknown", "bad"]
Trust = dict[str, str]

_NEVER = (
    "Never verified: nobody has checked whether these values predict what training without the samples does. "
    "They order what to look at; verify() measures it."
)


def trust_line(verified: Sequence[LinearDatamodelingScore], diagnostics: Mapping[str, Any] | None) -> Trust:
    """Return the level and the text of the line for one method."""
    if chaos := _chaos(diagnostics):
        measured = f" {_measured(verified)}" if verified else " Never verified."
        return _line("bad", f"Chaotic training: {chaos}, so no derivative predicts retraining here.{measured}")
    if not verified:
        return _line("unknown", _NEVER)
    lowest = min(each.confidence_interval[0] for each in verified)
    if lowest > 0:
        return _line("good", f"Verified: {_measured(verified)}")
    return _line("bad", f"Not confirmed by retraining: {_measured(verified)} A random order gets 0.")


def by_method(name: str, given: Any, methods: Sequence[str], kind: type) -> dict[str, Any]:
    """Return what was given for each method; one thing alone is of the only method.

    Raises
    ------
    TypeError, ValueError
        If it is something else, of a method that isn't there, or there are several methods to choose from.
    """
    if given is None:
        return {}
    if isinstance(given, kind) and not (isinstance(given, dict) and set(given) <= set(methods)):
        if len(methods) > 1:
            raise ValueError(
                f"{name} is of one of {list(methods)}: pass a dict of names, such as {methods[0]!r}"
            )
        return {methods[0]: given}
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} must be a {kind.__name__} or a dict of them by method, got {described(given)}")
    for method, each in given.items():
        if method not in methods:
            raise ValueError(f"{name} is of {method!r}, which is none of the methods {list(methods)}")
        if not isinstance(each, kind):
            raise TypeError(f"{name} of {method!r} must be a {kind.__name__}, got {described(each)}")
    return dict(given)


def _chaos(diagnostics: Mapping[str, Any] | None) -> str:
    growth = (diagnostics or {}).get("growth")
    if growth is None or growth <= CHAOTIC_GROWTH:
        return ""
    return "the cotangent " + ("overflowed" if growth == float("inf") else f"grew by a factor of {growth:.1e}")


def _measured(verified: Sequence[LinearDatamodelingScore]) -> str:
    first = verified[0]
    low, high = first.confidence_interval
    n, percent = first.n_subsets, 100 * first.fraction
    what = f"between the values and {n} retrainings, each without {percent:.3g} % of the samples."
    if len(verified) == 1:
        return f"rank correlation {first.score:.2f} [{low:.2f}, {high:.2f}] {what}"
    scores = sorted(each.score for each in verified)
    mean = sum(scores) / len(scores)
    spread = f"mean of {len(scores)} seeds, {scores[0]:.2f} to {scores[-1]:.2f}"
    return f"rank correlation {mean:.2f} ({spread}) {what}"


def _line(level: Level, text: str) -> Trust:
    return {"level": level, "text": text}
