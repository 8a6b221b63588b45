"""The one kind of error that ends a command in one line."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(Exception):
    """What the user passed can't be used; the message says why, and what to do."""
