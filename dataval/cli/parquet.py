"""Writing the ranked rows as Parquet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from dataval.cli.errors import UsageError

__all__ = ["PARQUET_SIGNATURE", "as_parquet", "check_parquet"]

PARQUET_SIGNATURE = b"PAR1"
_OURS = ["rank", "row", "label", "value"]


def check_parquet(path: Path) -> None:
    """Raise unless Parquet can be written, and what is at a path, if anything, is an earlier result.

    Raises
    ------
    UsageError
        If pyarrow or pandas is missing, or the file holds something else.
    """
    try:
        import pandas as pd  # noqa: F401
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError("Parquet needs pandas and pyarrow: pip install 'dataval[tables]'") from error
    if not path.exists() or not path.stat().st_size:
        return
    try:
        names = pq.read_schema(path).names
    except (OSError, ValueError):
        names = []
    if names[: len(_OURS)] != _OURS:
        raise UsageError(f"{path} exists and is no earlier result: remove it, or choose another name")


def as_parquet(frame: Any) -> bytes:
    """Return a data frame as a file's content; columns of mixed types as text."""
    stream = io.BytesIO()
    try:
        frame.to_parquet(stream, index=False)
    except (ValueError, TypeError):  # of pyarrow, for a column whose cells are of several types
        import pandas as pd

        mixed = [name for name in frame.columns if frame[name].dtype == object]
        frame = frame.assign(
            **{n: frame[n].where(frame[n].isna(), frame[n].map(str)).astype(pd.StringDtype()) for n in mixed}
        )
        stream = io.BytesIO()
        frame.to_parquet(stream, index=False)
    return stream.getvalue()
