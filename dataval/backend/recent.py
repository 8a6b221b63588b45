"""A few things that were made lately, by what they were made from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Recent"]

Made = TypeVar("Made")


class Recent(Generic[Made]):
    """What was made for the last few keys.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[object, Made]] = OrderedDict()

    def get(self, key: Hashable, source: object, make: Callable[[], Made]) -> Made:
        """Return what was made for a key, or make it.

        Parameters
        ----------
        key
            What tells it from others.
        source
            Is kept as long, so that an ``id`` used as the key stays its own.
        make : callable
            Makes it.
        """
        if key not in self._kept:
            self._kept[key] = source, make()
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key][1]
