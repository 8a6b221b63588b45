"""The judges of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.calls.call import (
    DATA,
    MASK,
    OBJECTS,
    VALIDATION,
    VALUES,
    Call,
    N,
    X,
    Y,
    learner,
    run,
    truth,
)
from tests.fuzz.values import but

TRUTH = dv.evaluation.SubsetTruth(np.eye(len(VALUES), dtype=bool)[:3], np.arange(3.0))

OF_THE_MODEL = ("too narrow", "flat", "of no width", "an axis more")
OF_THE_LOSS = ("fractions", "negative", "too large", "far too large", "a column", "one-hot")
"""What a comparison learns from its methods: a method that fails has the error in its row."""


CURVE = {
    "values": v.NO_VALUES,
    "shares": v.NO_SHARES,
    "order": v.NO_NAME,
    "utility": but(v.NO_NAME, "a class"),
    "seeds": v.NO_SEEDS,
    "confidence": v.NO_SHARE | {"zero": 0, "one": 1},
    "n_jobs": but(v.NO_COUNT, "minus one"),
    "folder": v.NO_FOLDER,
}


def curve(function: Callable[..., object]) -> Call:
    """Return the call of a curve."""
    good = {"values": VALUES, "seeds": (0,), "shares": (0.5,)}
    words = {"folder": ("folder", "values.py")}
    return Call(lambda values, **a: function(values, learner(), X, Y, X, Y, **a), good, CURVE, words)


def approximated(**given: Any) -> object:
    """Compare two approximations of one run."""
    exact, other = (dv.HyDRA(learner()).fit(X, Y, run=run()) for _ in range(2))
    return dv.evaluation.approximation_error(
        **{"exact": exact, "approximate": other, "X_val": X, "y_val": Y} | given
    )


EVALUATION = {
    "noise_detection": Call(
        dv.evaluation.noise_detection,
        {"values": VALUES, "is_noisy": MASK, "n_bootstrap": 5},
        {
            "values": v.NO_VALUES,
            "is_noisy": v.NO_MASK,
            "k": but(v.NO_COUNT, "a list", "a tuple") | {"too large": N + 1, "nothing": [], "a zero": [0]},
            "n_bootstrap": v.NO_WHOLE,
            "confidence": v.NO_SHARE | {"zero": 0, "one": 1},
            "seed": v.NO_WHOLE,
            "is_wrong": {"too short": MASK[1:], "a number": 3},
            "probability_wrong": {"too short": MASK[1:], "above 1": 2.0 * MASK},
            "suggested_label": {"without the truth": MASK},
            "true_label": {"without a suggestion": MASK},
        },
    ),
    "detection_curve": Call(
        dv.evaluation.detection_curve,
        {"values": VALUES, "is_noisy": MASK},
        {
            "values": v.NO_VALUES,
            "is_noisy": v.NO_MASK,
        },
    ),
    "leave_one_out_agreement": Call(
        dv.evaluation.leave_one_out_agreement,
        {"values": VALUES, "truth": VALUES},
        {
            "values": v.NO_VALUES,
            "truth": v.NO_VALUES,
        },
    ),
    "linear_datamodeling_score": Call(
        dv.evaluation.linear_datamodeling_score,
        {"values": VALUES, "truth": truth},
        {
            "values": v.NO_VALUES,
            "truth": v.SHAPELESS,
            "confidence": v.NO_SHARE | {"zero": 0, "one": 1},
            "seed": v.NO_WHOLE,
        },
    ),
    "rank_stability": Call(
        dv.evaluation.rank_stability,
        {"values": [VALUES, VALUES[::-1]]},
        {
            "values": v.SHAPELESS
            | {"one run": [VALUES], "lengths that differ": [VALUES, VALUES[1:]], "texts": [["a"] * N] * 2},
            "k": v.NO_COUNT | {"too large": N + 1},
        },
        {"values": ("values", "runs")},
    ),
    "value_distribution": Call(
        dv.evaluation.value_distribution,
        {"values": [VALUES, VALUES[::-1]]},
        {
            "values": v.SHAPELESS
            | {"one run": [VALUES], "lengths that differ": [VALUES, VALUES[1:]], "texts": [["a"] * N] * 2},
            "quantiles": v.NO_SHARES,
        },
        {"values": ("values", "runs")},
    ),
    "fidelity_across_seeds": Call(
        dv.evaluation.fidelity_across_seeds,
        {"values": [VALUES, VALUES[::-1]], "truths": lambda: [TRUTH, TRUTH]},
        {
            "values": v.SHAPELESS | {"one seed": [VALUES], "lengths that differ": [VALUES, VALUES[1:]]},
            "truths": v.SHAPELESS | {"nothing": [], "no truths": [1, 2], "one seed": [TRUTH]},
        },
        {"values": ("values",), "truths": ("truth",)},
    ),
    "SubsetTruth": Call(
        dv.evaluation.SubsetTruth,
        {"removed": np.eye(3, dtype=bool), "changes": np.ones(3)},
        {
            "removed": v.SHAPELESS
            | {
                "too few": np.eye(3, dtype=bool)[:2],
                "flat": np.ones(3, bool),
                "fractions": np.full((3, 3), 0.5),
            },
            "changes": v.SHAPELESS
            | {"too few": np.ones(2), "texts": np.full(3, "a"), "an axis too many": np.ones((3, 1))},
        },
        {"removed": ("removed", "changes")},
    ),
    "retrain_subsets": Call(
        lambda **a: dv.evaluation.retrain_subsets(learner(), **a),
        {
            "X": X,
            "y": Y,
            "X_val": X,
            "y_val": Y,
            "n_subsets": 3,
            "fraction": 0.2,
        },
        DATA
        | VALIDATION
        | {
            "run": v.NO_RUN,
            "objective": v.NO_FUNCTION,
            "utility": but(v.NO_NAME, "a class"),
            "n_subsets": v.NO_COUNT,
            "fraction": v.NO_SHARE | {"zero": 0, "one": 1},
            "removed": but(v.NO_MASK, "None"),
            "seed": v.NO_WHOLE,
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "group_size": v.NO_COUNT,
            "folder": v.NO_FOLDER,
        },
        OBJECTS
        | {"folder": ("folder", "values.py"), "n_subsets": ("subsets",), "fraction": ("fraction", "subset")},
    ),
    "learning_curve": Call(
        lambda **a: dv.evaluation.learning_curve(**{"learner": learner(), "sizes": [4, 8], "n_repeats": 2} | a),
        {"X": X, "y": Y, "X_val": X, "y_val": Y, "utility": "loss"},
        DATA
        | VALIDATION
        | {
            "learner": v.NO_LEARNER,
            "sizes": but(v.NO_INDICES, "out of range", "twice") | {"too many": [N + 1], "zero": [0]},
            "n_repeats": v.NO_COUNT,
            "utility": but(v.NO_NAME, "a class"),
            "objective": v.NO_FUNCTION,
            "seed": v.NO_WHOLE,
            "confidence": v.NO_SHARE | {"zero": 0, "one": 1},
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "folder": v.NO_FOLDER,
        },
        OBJECTS | {"folder": ("folder", "values.py")},
    ),
    "removal_curve": curve(dv.evaluation.removal_curve),
    "addition_curve": curve(dv.evaluation.addition_curve),
    "approximation_error": Call(
        approximated,
        {},
        VALIDATION
        | {
            "exact": v.NO_LEARNER,
            "approximate": v.NO_LEARNER,
            "epochs": but(v.NO_INDICES, "out of range", "twice") | {"too late": [99], "zero": [0]},
        },
        OBJECTS | {"exact": ("methods",), "approximate": ("methods",)},
    ),
    "smoothness": Call(
        dv.evaluation.smoothness,
        {"learner": learner, "X": X, "y": Y, "X_val": X, "y_val": Y, "run": run, "parts": ()},
        DATA
        | VALIDATION
        | {
            "learner": v.NO_LEARNER,
            "run": v.NO_RUN,
            "objective": v.NO_FUNCTION,
            "parts": v.NO_NAME | {"None": None, "unknown": ["masks"]},
            "step": v.NO_NUMBER | {"zero": 0, "too large": 0.5},
            "fraction": v.NO_SHARE | {"zero": 0, "one": 1},
            "seed": v.NO_WHOLE,
        },
        OBJECTS | {"run": ("run",)},
    ),
    "compare": Call(
        lambda **a: dv.compare(**{"n_bootstrap": 5, "progress": False} | a),
        {
            "methods": lambda: {"a": dv.MeanLoss(learner())},
            "X": X,
            "y": Y,
            "X_val": X,
            "y_val": Y,
            "is_noisy": MASK,
        },
        {
            "X": but(v.NO_SAMPLES, *OF_THE_MODEL),
            "y": but(v.NO_LABELS, *OF_THE_LOSS),
            "X_val": but(v.NO_SAMPLES, *OF_THE_MODEL),
            "y_val": but(v.NO_LABELS, *OF_THE_LOSS),
            "methods": v.SHAPELESS
            | {"nothing": {}, "a name that is no text": {3: VALUES}, "no method": {"a": v.Opaque()}},
            "is_noisy": but(v.NO_MASK, "None"),
            "ground_truth": but(v.NO_NAME, "a number"),
            "seeds": v.NO_SEEDS,
            "fraction": v.NO_SHARE | {"zero": 0, "one": 1},
            "across_seeds": v.NO_FLAG,
            "n_bootstrap": v.NO_WHOLE,
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "folder": v.NO_FOLDER,
            "progress": but(v.NO_FLAG, "None"),
        },
        OBJECTS | {"folder": ("folder", "values.py"), "methods": ("method",), "seeds": ("seed",)},
    ),
}
