"""What is said of an action with bad input: refused clearly, refused raw, or accepted in silence."""

from __future__ import annotations

import linecache
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = (ROOT / "dataval", ROOT / "backends")
EXPECTED = (ValueError, TypeError, IndexError, RuntimeError, OSError, ImportError)


def verdict(action: Callable[[], object], names: Sequence[str]) -> str:
    """Return what is wrong with the answer to bad input, nothing where it is a clear refusal.

    A clear refusal is an error that a line of this library raises on purpose, in one line, and that names what
    was wrong.

    Parameters
    ----------
    action : callable
        Does something with bad input.
    names : sequence of str
        Words of which the message must hold one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            action()
        except EXPECTED as error:
            return _fault(error, names)
        except Exception as error:  # noqa: BLE001 - whatever else there is, is what is looked for
            return f"raw: {_shown(error)}"
    return "silent"


def _fault(error: Exception, names: Sequence[str]) -> str:
    if not _is_on_purpose(error):
        return f"raw: {_shown(error)}"
    message = str(error)
    if "\n" in message or not message:
        return f"not one line: {_shown(error)}"
    return "" if any(name in message for name in names) else f"names none of {names}: {_shown(error)}"


def _is_on_purpose(error: Exception) -> bool:
    """Whether a `raise` in this library made an error, not something that it called."""
    if isinstance(error, OSError) and error.filename is not None:  # the system names the file itself
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    return line.startswith("raise ") and any(folder in Path(last.filename).parents for folder in OURS)


def _shown(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]} ({last.filename}:{last.lineno})"
