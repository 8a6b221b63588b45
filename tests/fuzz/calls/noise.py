"""Noise that is put into data, and data sets."""

from __future__ import annotations

import numpy as np

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.calls.call import (
    OBJECTS,
    VALUES,
    Call,
    N,
    X,
    Y,
)
from tests.fuzz.values import but

FLIPS = {
    "y": but(v.NO_LABELS, "texts", "negative", "too large", "far too large", "one too many"),
    "seed": v.NO_WHOLE,
}
NOISE = {
    "flip_labels": Call(
        dv.noise.flip_labels,
        {"y": Y, "fraction": 0.3},
        FLIPS
        | {
            "fraction": v.NO_SHARE,
            "classes": but(v.SHAPELESS, "None") | {"one": [0], "twice": [0, 0, 1, 2]},
        },
        OBJECTS,
    ),
    "pair_flips": Call(
        dv.noise.pair_flips, {"y": Y, "fraction": 0.3}, FLIPS | {"fraction": v.NO_SHARE}, OBJECTS
    ),
    "class_dependent_flips": Call(
        dv.noise.class_dependent_flips,
        {"y": Y, "transition": np.eye(3)},
        FLIPS
        | {
            "transition": v.SHAPELESS
            | {
                "not square": np.ones((3, 2)),
                "rows of 2": 2 * np.eye(3),
                "negative": -np.eye(3),
                "nan": np.full((3, 3), np.nan),
            },
        },
        OBJECTS,
    ),
    "target_noise": Call(
        dv.noise.target_noise,
        {"y": VALUES, "fraction": 0.3},
        {
            "y": but(v.NO_VALUES, "too few", "an axis too many"),
            "fraction": v.NO_SHARE,
            "scale": v.NO_NUMBER | {"below 0": -1},
            "relative": v.NO_FLAG,
            "seed": v.NO_WHOLE,
        },
        OBJECTS,
    ),
    "feature_noise": Call(
        dv.noise.feature_noise,
        {"X": X, "fraction": 0.3},
        {
            "X": but(v.NO_SAMPLES, "too few", "too narrow", "an axis more"),
            "fraction": v.NO_SHARE,
            "scale": v.NO_NUMBER | {"below 0": -1},
            "relative": v.NO_FLAG,
            "clip": but(v.NO_NUMBER, "a tuple", "an array")
            | {"reversed": (1, 0), "three": (0, 1, 2), "texts": ("a", "b")},
            "seed": v.NO_WHOLE,
        },
        OBJECTS,
    ),
    "outliers": Call(
        dv.noise.outliers,
        {"X": X, "fraction": 0.3},
        {
            "X": but(v.NO_SAMPLES, "too few", "too narrow", "an axis more", "flat"),
            "fraction": v.NO_SHARE,
            "seed": v.NO_WHOLE,
        },
        OBJECTS,
    ),
    "backdoor_patch": Call(
        dv.noise.backdoor_patch,
        {"X": np.ones((N, 1, 6, 6)), "y": Y, "fraction": 0.3, "target": 1},
        {
            "X": v.NO_SAMPLES,
            "y": but(v.NO_LABELS, "negative", "too large", "far too large"),
            "fraction": v.NO_SHARE,
            "target": v.ALIEN | {"unknown": 99, "a list": [1]},
            "layout": v.NO_NAME,
            "size": v.NO_COUNT | {"too large": 7},
            "value": v.NO_NUMBER,
            "corner": v.NO_NAME,
            "seed": v.NO_WHOLE,
        },
        OBJECTS,
    ),
}

DATASETS = {
    name: Call(
        getattr(dv.datasets, name),
        {},
        {
            "n_train": v.NO_COUNT | {"too many": 10**6},
            "n_val": v.NO_COUNT | {"too many": 10**6},
            "seed": v.NO_WHOLE,
        },
    )
    for name in ("load_breast_cancer", "load_digits", "load_wine")
}
