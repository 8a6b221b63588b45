"""Trying ways of computing the same thing, fastest first."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from textwrap import shorten
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dataval.data import to_numpy
from dataval.errors import SlowPathWarning

__all__ = ["FirstThatWorks", "agree"]

_REASON = 120  # characters of a framework's message that are repeated

Way = Callable[..., Any]
Errors = tuple[type[Exception], ...]


class FirstThatWorks:
    """A function with several implementations: the first that the model's operations support is used.

    Frameworks have no forward derivative, batching rule or second derivative for some operations, and say so
    by an error at the first call; others have a wrong one, or silently drop a derivative. So every way but
    the last is rehearsed once before it is used: on a small case it must agree with the last. Where it fails,
    the next way is taken from then on. The last way's errors are raised.

    Parameters
    ----------
    *ways : callable
        The same function, fastest first; the last is the one whose result is right by definition.
    rehearsal : callable, optional
        Returns the arguments of the small case.
    reference : callable, optional
        What the small case is held against; the last way by default.
    seen : callable, optional
        Turns a result into the arrays that have to agree, where it isn't made of them.
    cost : str, optional
        What it costs to go another way than the first, said once by a `SlowPathWarning`.
    """

    unsupported: ClassVar[Errors]
    """What the framework raises where an operation lacks a derivative or a batching rule."""

    fatal: ClassVar[Errors]
    """What is no missing operation, though it may look like one: running out of memory."""

    def __init__(
        self,
        *ways: Way,
        rehearsal: Callable[[], tuple[Any, ...]] | None = None,
        reference: Way | None = None,
        seen: Way | None = None,
        cost: str = "",
    ) -> None:
        self._ways = list(ways)
        self._rehearsal = rehearsal
        self._reference = reference or ways[-1]
        self._seen = seen or (lambda result: result)
        self._cost = cost

    def __call__(self, *args: Any) -> Any:
        """Call the way in use, moving on where it isn't supported."""
        while self.is_fast():
            try:
                return self._ways[0](*args)
            except self.fatal:
                raise
            except self.unsupported as error:
                self._give_up(error)
        return self._ways[0](*args)

    def is_fast(self) -> bool:
        """Whether a way other than the last is in use, which its rehearsal decides."""
        while len(self._ways) > 1:
            try:
                self._rehearse()
                return True
            except self.fatal:
                raise
            except self.unsupported as error:
                self._give_up(error)
        return False

    def _give_up(self, error: Exception) -> None:
        """Leave the way in use, and say what that costs."""
        del self._ways[0]
        if self._cost:
            reason = shorten(str(error) or type(error).__name__, _REASON, placeholder=" ...")
            warnings.warn(f"{self._cost} ({reason})", SlowPathWarning, stacklevel=2)
            self._cost = ""

    def _rehearse(self) -> None:
        if self._rehearsal is None:
            return
        args = self._rehearsal()
        if not agree(self._seen(self._ways[0](*args)), self._seen(self._reference(*args))):
            raise RuntimeError("two ways of computing the same derivative disagree")
        self._rehearsal = None


def agree(found: Any, expected: Any) -> bool:
    """Whether results are equal up to rounding: half the digits, relative to the largest entry of all."""
    pairs = [(f, e) for f, e in zip(_leaves(found), _leaves(expected), strict=True) if e.size]
    scale = max((float(np.abs(e).max()) for _, e in pairs), default=0.0)
    return all(float(np.abs(f - e).max()) <= scale * np.finfo(e.dtype).eps ** 0.5 for f, e in pairs)


def _leaves(result: Any) -> Iterator[NDArray[Any]]:
    if isinstance(result, list | tuple):
        for part in result:
            yield from _leaves(part)
    else:
        yield to_numpy(result)
