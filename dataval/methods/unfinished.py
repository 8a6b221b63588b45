"""Work that Ctrl-C broke off, kept for the next time that the same is asked."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Unfinished"]


class Unfinished:
    """The parts of one answer that are done, or half done, by their names."""

    def __init__(self) -> None:
        self._question: Hashable = None
        self._parts: dict[Any, Any] = {}

    @contextmanager
    def going_on(self, question: Callable[[], Hashable]) -> Iterator[dict[Any, Any]]:
        """Hand out what is there of the answer to a question; it is kept if Ctrl-C comes, and only then.

        Parameters
        ----------
        question : callable
            Returns what tells the question from others. It is called where something is kept, or to be kept.
        """
        parts = self._parts if self._parts and question() == self._question else {}
        self._parts = {}
        try:
            yield parts
        except KeyboardInterrupt:
            self._question, self._parts = question(), parts
            raise
