"""What is kept in files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.calls.call import (
    FOLDER,
    MASK,
    PLACE,
    VALUES,
    Call,
    X,
    Y,
    folder,
    truth,
)
from tests.fuzz.values import but


@cache
def comparison() -> dv.evaluation.Comparison:
    """Return a comparison of given values with labels that are known to be wrong."""
    return dv.compare({"a": VALUES}, X, Y, X, Y, is_noisy=MASK, n_bootstrap=0, progress=False)


def pictures() -> Path:
    """Return a folder of one class that holds one image's name."""
    where = folder() / "cat"
    where.mkdir()
    (where / "1.png").touch()
    return where.parent


FILES = {
    "Comparison.save": Call(
        lambda folder: comparison().save(folder), {"folder": folder}, {"folder": FOLDER}, PLACE
    ),
    "Comparison.load": Call(
        dv.evaluation.Comparison.load,
        {"folder": lambda: comparison().save(folder())},
        {
            "folder": FOLDER | {"nowhere": "nowhere"},
        },
        PLACE,
    ),
    "SubsetTruth.save": Call(
        lambda path: truth().save(path),
        {"path": lambda: folder() / "a.npz"},
        {
            "path": but(FOLDER, "a file") | {"a folder": lambda: folder()},
        },
        PLACE,
    ),
    "SubsetTruth.load": Call(
        dv.evaluation.SubsetTruth.load,
        {"path": lambda: truth().save(folder() / "a.npz")},
        {
            "path": FOLDER | {"nowhere": "nowhere"},
        },
        PLACE,
    ),
    "image_folder": Call(
        dv.datasets.image_folder,
        {"path": lambda: pictures()},
        {
            "path": but(FOLDER, "a file") | {"nowhere": "nowhere"},
            "size": but(v.NO_COUNT, "a tuple") | {"three sides": (1, 2, 3)},
            "mode": v.NO_NAME | {"None": None},
            "channels": v.NO_NAME | {"None": None},
        },
        PLACE,
    ),
    "load_fashion_mnist": Call(
        dv.datasets.load_fashion_mnist, {}, {"folder": v.NO_FOLDER | {"nowhere": "nowhere"}}, PLACE
    ),
}
