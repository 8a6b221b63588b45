"""Reading data sets that Hugging Face's ``save_to_disk`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataval.cli.errors import UsageError
from dataval.cli.pictures import as_arrays
from dataval.cli.table import Table
from dataval.cli.typed import BROKEN, table_of

__all__ = ["is_dataset", "read_dataset"]

_SPLITS = ("train", "training")


def is_dataset(path: Path) -> bool:
    """Return whether a folder is what Hugging Face's ``save_to_disk`` wrote."""
    return any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json", "state.json"))


def read_dataset(path: Path, label: str) -> Table:
    """Read a data set of Hugging Face from a folder; of several splits the one for training.

    Raises
    ------
    UsageError
        If it can't be read.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            "a data set of Hugging Face needs datasets: pip install 'dataval[datasets]'"
        ) from error
    notes = []
    try:
        found = datasets.load_from_disk(str(path))
        if isinstance(found, dict):
            name = next((each for each in _SPLITS if each in found), next(iter(found)))
            notes = [f"of the splits {', '.join(found)} only {name!r} is ranked"]
            found = found[name]
        pictures = [name for name, feature in found.features.items() if isinstance(feature, datasets.Image)]
        images = _images(found[pictures[0]]) if pictures else None
        frame = found.remove_columns(pictures).to_pandas()
        for column, feature in found.features.items():
            if isinstance(feature, datasets.ClassLabel):
                frame[column] = [
                    None if code is None or code < 0 else feature.names[code] for code in found[column]
                ]
    except BROKEN as error:
        raise UsageError(f"{path} can't be read as a data set of Hugging Face: {error}") from error
    table = table_of(frame, path, label)
    table.notes.extend(notes)
    table.images = images
    return table


def _images(column: Any) -> Any:
    images = list(column)
    if any(image is None for image in images):
        raise ValueError("some images are missing")
    return as_arrays(images, len(images), {image.size for image in images}, {image.mode for image in images})
