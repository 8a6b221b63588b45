"""The folder of a recorded run: ``manifest.json`` and two safetensors files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from dataval.files.folder import Layout, read_folder, write_folder
from dataval.files.tensors import read_tensors, write_tensors

__all__ = ["load_folder", "save_folder"]

Arrays = dict[str, NDArray[Any]]
Content = TypeVar("Content")

_LAYOUT = Layout(
    what="recorded run",
    manifest="manifest.json",
    entries=frozenset({"format", "training", "plan", "signature", "steps"}),
    suffixes={"record": ".safetensors", "states": ".safetensors"},
    format=3,
    former={"record": "record.safetensors", "states": "states.safetensors"},
)


def save_folder(
    folder: Path, document: Mapping[str, Any], arrays: Mapping[str, Arrays], *, overwrite: bool
) -> None:
    """Write a run's description and its arrays ``record`` and ``states``; see `TrainingRun.save`."""
    writers = {part: partial(write_tensors, arrays=found) for part, found in arrays.items()}
    write_folder(folder, _LAYOUT, document, writers, overwrite=overwrite)


def load_folder(folder: Path, parse: Callable[[dict[str, Any], dict[str, Arrays]], Content]) -> Content:
    """Read what `save_folder` wrote, and return what a function makes of it; see `TrainingRun.load`.

    The function gets the description with its ``format``, and the arrays. A `ValueError` of its says what makes
    no sense.
    """
    return read_folder(
        folder,
        _LAYOUT,
        lambda document, paths: parse(document, {part: read_tensors(path) for part, path in paths.items()}),
    )
