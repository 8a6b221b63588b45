"""What the command line says: lines on standard error, results on standard output."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dataval.cli.errors import UsageError

__all__ = ["hide_closed_output", "one_line", "one_line_warnings", "say", "write_out"]

_LONGEST = 800


def one_line(message: object) -> str:
    """Return a message as one line: white space collapsed, control characters escaped, cut where it is long."""
    text = " ".join(str(message).split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} …"


def say(message: object) -> None:
    """Write one line to standard error, where there is one."""
    if sys.stderr is None:
        return
    line = f"dataval: {one_line(message)}"
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with suppress(OSError):
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


def write_out(text: str) -> None:
    """Write text to standard output as UTF-8, all of it.

    Raises
    ------
    UsageError
        If it can't be written.
    BrokenPipeError
        If nobody reads it any more.
    """
    if sys.stdout is None:
        raise UsageError("standard output is closed: name a file with --out")
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    try:
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        hide_closed_output()
        raise UsageError(f"can't write to standard output: {error.strerror or error}") from error


def hide_closed_output() -> None:
    """Let what is still buffered for standard output go nowhere, so that Python's exit is quiet."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Show the warnings that libraries give as one line each, without files and line numbers."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
