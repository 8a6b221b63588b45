"""What belongs to the whole process, and must be after a call as it was before: signals and random streams."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

__all__ = ["first_use", "kept_streams", "uninterrupted"]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the body is done.

    For what takes a second or two and can't be done again once it was broken off, such as the import of a
    part of a framework: Python keeps no module whose import failed, the framework keeps what the module had
    registered. Signals come to the main thread alone, so elsewhere there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, pending = signal.getsignal(signal.SIGINT), []

    def note(number: int, frame: FrameType | None) -> None:
        pending.append((number, frame))

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pending and callable(handler):
            handler(*pending[0])


@contextmanager
def kept_streams() -> Iterator[None]:
    """Put the global generators of Python and NumPy back on leaving."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what others draw from
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def first_use() -> Iterator[None]:
    """Let a framework import what it needs at its first use: wholly, and whatever that draws."""
    with kept_streams(), uninterrupted():
        yield
