"""Trying ways of computing the same thing, fastest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["FirstThatWorks"]


class FirstThatWorks:
    """A function with several implementations: the first that the model's operations support is used.

    PyTorch has no forward derivative or batching rule for some operations, and says so by an error at the
    first call. From then on the next way is taken. The last way's errors are raised.

    Parameters
    ----------
    *ways : callable
        The same function, fastest first.
    """

    def __init__(self, *ways: Callable[..., Any]) -> None:
        self._ways = list(ways)

    def __call__(self, *args: Any) -> Any:
        """Call the way in use, moving on where it isn't supported."""
        while len(self._ways) > 1:
            try:
                return self._ways[0](*args)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, NotImplementedError, ValueError):
                del self._ways[0]
        return self._ways[0](*args)
