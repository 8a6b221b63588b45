"""Progress bars."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

__all__ = ["progress_bar"]


def progress_bar(what: str, total: int | None, show: bool | None, initial: int = 0) -> Any:
    """Return a tqdm bar; `show` None means: where standard error is a terminal."""
    disable = None if show is None else not show
    return tqdm(desc=what, total=total, initial=initial, disable=disable, leave=False, delay=0.5)
