"""Reading the decisions that a report exported."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from dataval.checks import described, some_path

__all__ = ["DECISIONS", "FORMAT", "Decision", "Decisions", "read_decisions"]

DECISIONS = ("keep", "relabel", "drop", "unsure")
FORMAT = "dataval review 1"

_NEEDED = ("index", "id", "decision", "new_label")
_KNOWN = {*_NEEDED, "given_label"}
_FIELDS = {"format", "n_samples", "labels", "decisions"}
_SEPARATORS = ",;\t"
_FORMULA = re.compile("'*(?:[\\t\\r\\n]|\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
"""What a spreadsheet would take for a formula, with apostrophes before it: as in static/exports.js."""


@dataclass(frozen=True)
class Decision:
    """One line: texts, empty where there is nothing; `given_label` None where the file doesn't say."""

    index: str
    id: str
    decision: str
    new_label: str
    given_label: str | None


class Decisions(NamedTuple):
    """What a file says, and of JSON the number and digest of the labels that it is about."""

    each: list[Decision]
    n_samples: int | None = None
    labels: str | None = None


def read_decisions(file: str | os.PathLike[str]) -> Decisions:
    """Read a file that a report exported, or that was written like one.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it isn't one of decisions.
    """
    path = some_path("file", file)
    if not path.is_file():
        raise FileNotFoundError(f"file {path} is not there: export the decisions from the report")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"file {path} is not UTF-8: export the decisions again, as CSV or JSON") from error
    try:
        return _of_json(text) if text.lstrip().startswith(("{", "[")) else _of_csv(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"file {path} holds no decisions of a report: {error}") from error


def _of_csv(text: str) -> Decisions:
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    rows = [row for row in rows if row]
    names = [name.strip() for name in rows[0]] if rows else []
    _check_names(names)
    found = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} cells, the header {len(names)}")
        found.append(_decision(dict(zip(names, (_plain(cell) for cell in row), strict=True))))
    return Decisions(found)


def _of_json(text: str) -> Decisions:
    document = json.loads(text)
    if isinstance(document, list):
        return Decisions([_of_entry(entry) for entry in document])
    if document.get("format") != FORMAT or document.keys() - _FIELDS:
        raise ValueError(f"its format is {described(document.get('format'))}, not {FORMAT!r}, or it holds more")
    n, labels, each = document.get("n_samples"), document.get("labels"), document.get("decisions")
    if type(n) is not int or not isinstance(labels, str | None) or not isinstance(each, list):
        raise ValueError("it must hold n_samples, labels and a list of decisions")
    return Decisions([_of_entry(entry) for entry in each], n, labels)


def _of_entry(entry: Any) -> Decision:
    if not isinstance(entry, dict):
        raise ValueError(f"a decision must be an object, got {described(entry)}")
    _check_names(list(entry))
    cells = {name: "" if cell is None else str(cell) for name, cell in entry.items()}
    return _decision(cells)


def _check_names(names: list[str]) -> None:
    missing, more = [name for name in _NEEDED if name not in names], sorted(set(names) - _KNOWN)
    if missing or more or len(set(names)) < len(names):
        raise ValueError(
            f"{', '.join(_NEEDED)} and maybe given_label are needed, each once"
            + (f"; {', '.join(missing)} is missing" if missing else "")
            + (f"; {described(more[0])} is not known" if more else "")
        )


def _decision(cells: dict[str, str]) -> Decision:
    return Decision(
        cells["index"].strip(),
        cells["id"],
        cells["decision"].strip(),
        cells["new_label"],
        cells.get("given_label"),
    )


def _plain(cell: str) -> str:
    """Return a cell without the apostrophe that keeps spreadsheets from computing it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
