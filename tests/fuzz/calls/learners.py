"""Learners and their runs."""

from __future__ import annotations

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.calls.call import (
    DATA,
    OBJECTS,
    TRAINING,
    Call,
    X,
    Y,
    folder,
    learner,
    run,
)
from tests.fuzz.values import but

LEARNERS = {
    "Learner": Call(
        lambda **a: dv.Learner(**{"model": learner().model, "progress": False, "training": TRAINING} | a).train(
            X, Y
        ),
        {},
        {
            "model": but(v.NO_LEARNER, "a class") | {"a function that needs an argument": lambda n: n},
            "loss": but(v.NO_NAME, "a class") | {"None": None, "of two numbers": lambda outputs: outputs},
            "training": v.NO_OPTIONS,
            "device": v.NO_NAME,
            "params": v.NO_NAME | {"nothing": [], "a number in a list": [3]},
            "checkpoints": v.NO_OPTIONS,
            "backend": v.NO_NAME,
            "progress": but(v.NO_FLAG, "None"),
            "outputs": v.NO_FUNCTION,
        },
        {"loss": ("loss",), "params": ("params", "parameter"), "model": ("model", "builder", "function")},
    ),
    "train": Call(
        lambda **a: learner().train(**a),
        {"X": X, "y": Y, "weights": None},
        DATA
        | {
            "weights": v.NO_WEIGHTS,
            "resume": v.NO_RUN,
        },
        OBJECTS | {"resume": ("resume", "run")},
    ),
    "replay": Call(
        lambda **a: learner().replay(**a),
        {"X": X, "y": Y, "run": run},
        DATA
        | {
            "run": v.NO_RUN | {"None": None},
        },
        OBJECTS,
    ),
    "save": Call(
        lambda **a: run().save(**a),
        {"folder": folder},
        {
            "folder": v.NO_FOLDER | {"None": None},
            "overwrite": v.NO_FLAG,
        },
        {"folder": ("folder", "path", "directory", "exists")},
    ),
    "load": Call(
        lambda **a: dv.TrainingRun.load(**a),
        {"folder": lambda: run().save(folder() / "run")},
        {
            "folder": v.NO_FOLDER | {"None": None, "nowhere": "nowhere"},
        },
        {"folder": ("folder", "path", "nowhere", "values.py")},
    ),
}
