"""The report, and the way back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.calls.call import PLACE, VALUES, Call, N, X, Y, folder
from tests.fuzz.values import but

NO_TEXT = but(v.NO_NAME, "an unknown name", "an empty text")
LABELS = ("texts", "fractions", "negative", "too large", "far too large", "a column")
"""What labels can be."""

NO_ENTRIES = but(v.NO_LABELS, "None", *LABELS)
GIVEN = {"values": VALUES, "X": X, "y": Y}


def reviewed(content: str | None = None) -> Path:
    """Return a file of decisions."""
    path = folder() / "review.csv"
    path.write_text("index,id,decision,new_label\n0,0,drop,\n" if content is None else content)
    return path


def decisions(**files: str) -> dict[str, Any]:
    """Return files that hold something else."""
    return {name.replace("_", " "): (reviewed(content)) for name, content in files.items()}


def explained(given: Any) -> object:
    """Make a report of explanations."""
    return dv.report(VALUES, explanations=given)


REPORTS = {
    "report": Call(
        dv.report,
        GIVEN,
        {
            "values": v.NO_VALUES,
            "X": {"an object": v.Opaque(), "a number": 3, "too few": X[1:], "text": "ab", "a set": {1}},
            "y": NO_ENTRIES,
            "predictions": but(NO_ENTRIES, "one-hot")
            | {"too large": np.full(N, 99), "probabilities": np.full((N, 7), 0.1)},
            "is_noisy": but(v.NO_MASK, "None"),
            "ids": NO_ENTRIES | {"twice": np.zeros(N, int)},
            "class_names": {"a number": 3, "too few": ["one"], "twice": ["a"] * 9, "an object": v.Opaque()},
            "feature_names": {"a number": 3, "too few": ["one"], "twice": ["a"] * X.shape[1]},
            "verification": {"a number": 3, "text": "good", "unknown": {"other": 3}},
            "diagnostics": {"a number": 3, "text": "good", "a list": [1]},
            "removal": {"a number": 3, "text": "good", "unknown": {"other": 3}},
            "run": v.NO_RUN,
            "kind": but(v.NO_NAME, "a list"),
            "layout": v.NO_NAME,
            "title": NO_TEXT,
            "data": NO_TEXT,
            "model": NO_TEXT,
            "warnings": {"a number": 3, "numbers": [3], "an object": v.Opaque(), "None": None},
            "budget": v.NO_NUMBER | {"zero": 0, "too small": 0.01},
            "seed": v.NO_WHOLE,
        },
        {"values": ("values", "y must"), "kind": ("kind", "X")},
    ),
    "report explanations": Call(
        explained,
        {"given": np.ones((2, N))},
        {"given": {"a number": 3, "text": "good", "too few": np.ones((2, N - 1)), "flat": np.ones(N)}},
        {"given": ("explanations",)},
    ),
    "Report.save": Call(
        lambda path: dv.report(VALUES).save(path),
        {"path": lambda: folder() / "a.html"},
        {"path": but(v.NO_FOLDER, "a file") | {"a folder": lambda: folder(), "a file": __file__}},
        PLACE | {"path": ("path", "reports.py")},
    ),
    "apply_review": Call(
        dv.apply_review,
        {"y": Y, "file": reviewed},
        {
            "y": but(v.NO_LABELS, "one too many", *LABELS),
            "file": v.NO_FOLDER
            | {"nowhere": "nowhere"}
            | decisions(
                nothing="",
                other_columns="a,b\n1,2\n",
                more_columns="index,id,decision,new_label,why\n0,0,drop,,x\n",
                twice="index,id,decision,new_label\n0,0,drop,\n0,0,keep,\n",
                out_of_range=f"index,id,decision,new_label\n{N},0,drop,\n",
                negative="index,id,decision,new_label\n-1,0,drop,\n",
                unknown="index,id,decision,new_label\n0,0,maybe,\n",
                unknown_label="index,id,decision,new_label\n0,0,relabel,99\n",
                no_label="index,id,decision,new_label\n0,0,relabel,\n",
                a_label_too_many="index,id,decision,new_label\n0,0,drop,1\n",
                other_labels='{"format": "dataval review 1", "n_samples": 3, "labels": "x", "decisions": []}',
                no_decisions='{"format": "dataval review 1"}',
                broken_json="{",
            ),
            "ids": NO_ENTRIES | {"others": np.arange(N) + 1},
            "classes": {"a number": 3, "an object": v.Opaque(), "texts": ["a"]},
            "unsure_weight": v.NO_SHARE,
        },
        {"file": ("file", "nowhere", "values.py"), "ids": ("ids", "called")},
    ),
}
