"""What a suite found, as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Suite

RESULTS = Path(__file__).parents[1] / "results"
PARTIAL = RESULTS / "partial"
"""Where results go that don't stand for a whole suite."""


def folder_of(device: str) -> Path:
    """Return where whole suites' results on a device go."""
    return RESULTS if device == "cpu" else RESULTS / device.partition(":")[0]


def document(
    suite: Suite, settings: Settings, machine: dict[str, Any], rows: list[Row], *, started: str, seconds: float
) -> dict[str, Any]:
    """Return what a file holds."""
    return {
        "suite": suite.name,
        "about": suite.about,
        "started": started,
        "minutes": round(seconds / 60, 2),
        "machine": machine,
        "settings": asdict(settings),
        "rows": [row.as_json() for row in rows],
    }


def write(found: dict[str, Any], folder: Path) -> Path:
    """Write a document under its suite's name and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(found["suite"], folder)
    path.write_text(json.dumps(_plain(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def path_of(name: str, folder: Path) -> Path:
    """Return the file of a suite."""
    return folder / f"{name}.json"


def read(path: Path) -> dict[str, Any]:
    """Read a document.

    Raises
    ------
    ValueError
        If the file holds none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("rows"), list):
        raise ValueError(f"{path} holds no results of python -m benchmarks: it has no rows")
    return found


def rows_of(found: dict[str, Any]) -> list[Row]:
    """Return a document's rows."""
    return [Row.from_json(row) for row in found["rows"]]


def _plain(value: Any) -> Any:
    """Return the same with nothing but JSON's types; what is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
