"""Putting Ctrl-C off while something must not be left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["uninterrupted"]


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
