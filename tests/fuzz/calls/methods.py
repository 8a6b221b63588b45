"""Methods: what they are made from, fitted to and asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.calls.call import (
    DATA,
    OBJECTS,
    PLACE,
    Call,
    X,
    Y,
    learner,
    run,
)
from tests.fuzz.values import but

TOKENS = np.arange(5 * len(X)).reshape(len(X), 5) % 7
OF_AN_INDEX = {
    "objective": v.NO_FUNCTION,
    "seed": v.NO_WHOLE,
    "folder": v.NO_FOLDER,
    "chunk_size": v.NO_COUNT,
}
OF_FEATURES = {
    "features": v.NO_FUNCTION | {"None": None},
    "metric": v.NO_NAME | {"None": None},
}
NO_PROJECTION = v.NO_COUNT | {"an axis too few": np.ones(3), "too short": np.ones((1, 2))}


def scored(method: type, **options: Any) -> Callable[..., object]:
    """Return what makes a method with options and scores with it."""

    def act(**arguments: Any) -> object:
        return method(learner(), **options | arguments).fit(X, Y, run=run()).score(X, Y)

    return act


def removed(**options: Any) -> object:
    """Score by leave-one-out."""
    return dv.LeaveOneOut(learner(), **{"indices": [0, 1]} | options).fit(X, Y).score(X, Y)


def neighbours(**arguments: Any) -> object:
    """Score by neighbours; X and y are those of training, X_val and y_val of validation."""
    given = {"X": X, "y": Y, "X_val": X, "y_val": Y} | arguments
    return dv.KNNShapley().fit(given["X"], given["y"]).score(given["X_val"], given["y_val"])


def of_estimator(**arguments: Any) -> object:
    """Score an estimator by leave-one-out; X and y are those of training, X_val and y_val of validation."""
    from sklearn.linear_model import LogisticRegression

    given = {"X": X, "y": Y, "X_val": X, "y_val": Y, "indices": [0, 1]} | arguments
    X_train, y, X_val, y_val = (given.pop(name) for name in ("X", "y", "X_val", "y_val"))
    return dv.LeaveOneOut(LogisticRegression(), **given).fit(X_train, y).score(X_val, y_val)


def of_learner(method: type) -> Call:
    """Return the call that makes a method from a learner."""
    return Call(
        lambda learner: method(learner).fit(X, Y),
        {"learner": learner},
        {"learner": v.NO_LEARNER},
        {"learner": ("Learner",)},
    )


OF_LEARNERS = (
    dv.HyDRA,
    dv.InfluenceFunction,
    dv.TracIn,
    dv.TRAK,
    dv.LoGra,
    dv.GradDot,
    dv.GradCos,
    dv.EL2N,
    dv.GraNd,
    dv.MeanLoss,
    dv.AreaUnderMargin,
    dv.ProbabilityMargin,
    dv.ForgettingEvents,
    dv.LeaveOneOut,
    dv.DataShapley,
    dv.DataBanzhaf,
    dv.BetaShapley,
    dv.AME,
    dv.LeastCore,
    dv.CSShapley,
)
OF_COALITIONS = {
    "method": v.NO_NAME,
    "seed": v.NO_WHOLE,
    "seeds": v.NO_SEEDS,
    "utility": but(v.NO_NAME, "a class"),
    "objective": v.NO_FUNCTION,
    "n_jobs": but(v.NO_COUNT, "minus one"),
    "group_size": v.NO_COUNT,
    "folder": v.NO_FOLDER,
}


def of_coalitions(method: type, good: dict[str, Any], **bad: v.Bad) -> Call:
    """Return the call of a method that trains on coalitions."""
    words = {"folder": ("folder", "values.py")}
    return Call(scored(method), good, OF_COALITIONS | bad, words)


METHODS = {
    "fit": Call(
        lambda **a: dv.HyDRA(learner()).fit(**a),
        {"X": X, "y": Y, "run": run},
        DATA | {"run": v.NO_RUN},
        OBJECTS,
    ),
    "score": Call(
        lambda **a: dv.HyDRA(learner()).fit(X, Y, run=run()).score(**a),
        {"X": X, "y": Y},
        {
            "X": v.NO_SAMPLES,
            "y": v.NO_LABELS,
        },
        OBJECTS,
    ),
    "attribute": Call(
        lambda **a: dv.InfluenceFunction(learner()).fit(X, Y, run=run()).attribute(**a),
        {"X": X, "y": Y},
        {
            "X": v.NO_SAMPLES,
            "y": v.NO_LABELS,
            "groups": {
                "an object": v.Opaque(),
                "text": "a",
                "a number": 1,
                "too few": [0],
                "a table": np.zeros((len(Y), 2)),
                "a mapping": {},
                "a name that is missing": [None] * len(Y),
                "names of two kinds": ["a", *range(1, len(Y))],
            },
        },
        OBJECTS,
    ),
    "explain": Call(
        lambda **a: dv.HyDRA(learner()).fit(X, Y, run=run()).explain(X[:3], **a),
        {},
        {"k": v.NO_COUNT},
    ),
    "verify": Call(
        lambda **a: (
            dv.HyDRA(learner()).fit(X, Y, run=run()).verify(X, Y, **{"n_subsets": 3, "fraction": 0.2} | a)
        ),
        {},
        {
            "n_subsets": v.NO_COUNT | {"one": 1},
            "fraction": v.NO_SHARE | {"zero": 0, "one": 1},
            "values": but(v.NO_VALUES, "None"),
            "seed": v.NO_WHOLE,
            "seeds": v.NO_SEEDS,
            "average": v.NO_FLAG,
            "is_noisy": but(v.NO_MASK, "None"),
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "group_size": v.NO_COUNT,
            "folder": v.NO_FOLDER,
        },
        {
            "folder": ("folder", "values.py"),
            "n_subsets": ("n_subsets", "subsets"),
            "fraction": ("fraction", "subset"),
        },
    ),
    "HyDRA": Call(
        scored(dv.HyDRA),
        {},
        {
            "hessian": {name: bad for name, bad in v.NO_FLAG.items() if bad is not None},
            "curvature": v.NO_NAME,
            "objective": v.NO_FUNCTION,
            "chunk_size": v.NO_COUNT,
            "projection": NO_PROJECTION,
            "probes": v.NO_NAME | {"None": None},
            "seed": v.NO_WHOLE,
        },
    ),
    "HyDRA, averaged": Call(
        scored(dv.HyDRA, removed=0.4, n_runs=1),
        {},
        {
            "removed": v.NO_SHARE | {"zero": 0, "one": 1, "a name": "normal", "one of them": (0.3, 1.5)},
            "n_runs": v.NO_COUNT,
            "include_plain": but(v.NO_FLAG, "None"),
            "tolerance": v.NO_NUMBER | {"below 0": -1},
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "folder": v.NO_FOLDER,
        },
        {"folder": ("folder", "values.py")},
    ),
    "InfluenceFunction": Call(
        scored(dv.InfluenceFunction),
        {},
        {
            "solver": v.NO_NAME,
            "curvature": v.NO_NAME,
            "damping": v.NO_NUMBER | {"below 0": -1},
            "normalize": v.NO_FLAG | {"another name": "sample"},
            "objective": v.NO_FUNCTION,
            "chunk_size": v.NO_COUNT,
        },
    ),
    "TracIn": Call(
        scored(dv.TracIn),
        {},
        {
            "checkpoints": v.NO_NAME
            | {"nothing": [], "negative": [-1], "out of range": [99], "fractions": [0.5], "None": None},
            "objective": v.NO_FUNCTION,
            "chunk_size": v.NO_COUNT,
        },
    ),
    "LoGra": Call(
        scored(dv.LoGra),
        {},
        {
            "rank": v.NO_COUNT,
            "projection": v.NO_NAME | {"None": None},
            "damping": v.NO_NUMBER | {"below 0": -1},
            **OF_AN_INDEX,
        },
        PLACE,
    ),
    "TRAK": Call(
        scored(dv.TRAK),
        {},
        {
            "dimension": v.NO_COUNT,
            "projection": v.NO_NAME | {"None": None},
            "seeds": v.NO_SEEDS,
            "checkpoints": v.NO_NAME
            | {"nothing": [], "negative": [-1], "out of range": [99], "fractions": [0.5], "None": None},
            "output": v.NO_NAME | {"None": None},
            "damping": v.NO_NUMBER | {"below 0": -1},
            "leave_one_out": v.NO_FLAG,
            **OF_AN_INDEX,
        },
        PLACE,
    ),
    "GradDot": Call(scored(dv.GradDot, dimension=4), {}, {"dimension": v.NO_COUNT, **OF_AN_INDEX}, PLACE),
    "GradCos": Call(scored(dv.GradCos, dimension=4), {}, {"dimension": v.NO_COUNT, **OF_AN_INDEX}, PLACE),
    "BM25": Call(
        lambda **a: dv.BM25(**{"k1": 1.0} | a).fit(TOKENS, Y).score(TOKENS, Y),
        {},
        {
            "k1": v.NO_NUMBER | {"below 0": -1},
            "b": v.NO_SHARE,
            "tokens": v.NO_NAME,
            "ignore": v.NO_NAME | {"None": None, "fractions": [0.5]},
            "signed": v.NO_FLAG,
        },
    ),
    "InputSimilarity": Call(
        lambda **a: dv.InputSimilarity(**a).fit(X, Y).score(X, Y),
        {},
        {
            "metric": v.NO_NAME | {"None": None},
            "features": v.NO_FUNCTION,
            "signed": v.NO_FLAG,
        },
    ),
    "KNNShapley": Call(
        lambda **a: dv.KNNShapley(**a).fit(X, Y).score(X, Y),
        {},
        {
            "k": v.NO_COUNT,
            **OF_FEATURES,
            "weights": but(v.NO_NAME, "a class") | {"no weights": lambda d: None, "negative": lambda d: -1 - d},
            "soft": v.NO_FLAG,
        },
    ),
    "TKNNShapley": Call(
        lambda **a: dv.TKNNShapley(**a).fit(X, Y).score(X, Y),
        {},
        {"threshold": v.NO_NUMBER | {"below 0": -1}, **OF_FEATURES},
    ),
    "LAVA": Call(
        lambda **a: dv.LAVA(**a).fit(X, Y).score(X, Y),
        {},
        {
            **OF_FEATURES,
            "label_weight": v.NO_NUMBER | {"below 0": -1},
            "solver": v.NO_NAME | {"None": None},
            "regularization": v.NO_NUMBER | {"zero": 0, "below 0": -1},
        },
    ),
    "samples of KNNShapley": Call(
        lambda **a: neighbours(**a),
        {},
        {
            "X": v.NO_SAMPLES,
            "y": but(v.NO_LABELS, "negative", "far too large", "too large", "a column", "fractions"),
            "X_val": v.NO_SAMPLES,
            "y_val": but(v.NO_LABELS, "a column"),
        },
        OBJECTS,
    ),
    "DataOOB": Call(
        lambda **a: dv.DataOOB(**{"n_models": 12} | a).fit(X, Y).score(X, Y),
        {},
        {
            "n_models": v.NO_COUNT,
            "utility": v.NO_NAME,
            "seed": v.NO_WHOLE,
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "group_size": v.NO_COUNT,
            "folder": v.NO_FOLDER,
        },
        {"folder": ("folder", "values.py")},
    ),
    "CSShapley": Call(
        lambda **a: dv.CSShapley(learner(), **{"n_permutations": 1} | a).fit(X, Y).score(X, Y),
        {},
        {
            "n_permutations": v.NO_COUNT,
            "seed": v.NO_WHOLE,
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "group_size": v.NO_COUNT,
            "folder": v.NO_FOLDER,
        },
        {"folder": ("folder", "values.py")},
    ),
    "KernelLeaveOneOut": Call(
        lambda **a: dv.KernelLeaveOneOut(**a).fit(X, Y).score(X, Y),
        {},
        {
            "features": v.NO_FUNCTION,
            "landmarks": v.NO_WHOLE | {"one": 1},
            "n_networks": v.NO_WHOLE | {"none": 0},
            "seed": v.NO_WHOLE,
        },
    ),
    "LabelErrors": Call(
        lambda X, y, **a: dv.LabelErrors(**a).fit(X, y).values_,
        {"X": X, "y": Y},
        {
            "y": {"too short": Y[1:], "one class": 0 * Y, "a hole": [None, *Y[1:].tolist()], "a number": 3},
            "task": v.NO_NAME,
            "features": v.NO_FUNCTION,
            "threshold": v.NO_SHARE,
            "seed": v.NO_WHOLE,
        },
    ),
    "EL2N": Call(scored(dv.EL2N), {}, {"epoch": v.NO_WHOLE | {"too late": 99}}),
    "GraNd": Call(scored(dv.GraNd), {}, {"epoch": v.NO_WHOLE | {"too late": 99}}),
    "RandomValues": Call(lambda **a: dv.RandomValues(**a).fit(X, Y).score(X, Y), {}, {"seed": v.NO_WHOLE}),
    "LeaveOneOut": Call(
        removed,
        {},
        {
            "indices": but(v.NO_INDICES, "twice"),
            "seeds": v.NO_SEEDS,
            "mode": v.NO_NAME,
            "utility": but(v.NO_NAME, "a class"),
            "objective": v.NO_FUNCTION,
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "group_size": v.NO_COUNT,
            "folder": v.NO_FOLDER,
        },
        {"folder": ("folder", "values.py")},
    ),
    "LeaveOneOut of an estimator": Call(
        of_estimator,
        {},
        {
            "X": but(v.NO_SAMPLES, "too narrow", "dates"),
            "y": but(v.NO_LABELS, "texts", "negative", "fractions"),
            "X_val": v.NO_SAMPLES,
            "y_val": v.NO_LABELS,
            "indices": but(v.NO_INDICES, "twice"),
            "seeds": v.NO_SEEDS,
            "mode": v.NO_NAME,
            "n_jobs": but(v.NO_COUNT, "minus one"),
            "objective": v.NO_FUNCTION,
        },
        OBJECTS | {"seeds": ("seeds",)},
    ),
    "DataShapley": of_coalitions(
        dv.DataShapley,
        {"n_permutations": 2},
        n_permutations=v.NO_COUNT,
        tolerance=but(v.NO_SHARE, "above 1"),
        truncation=v.NO_SHARE,
    ),
    "BetaShapley": of_coalitions(
        dv.BetaShapley,
        {"n_permutations": 2},
        n_permutations=v.NO_COUNT,
        alpha=but(v.NO_SHARE, "above 1") | {"zero": 0},
        beta=but(v.NO_SHARE, "above 1") | {"zero": 0},
    ),
    "DataBanzhaf": of_coalitions(dv.DataBanzhaf, {"n_coalitions": 40}, n_coalitions=v.NO_COUNT),
    "AME": of_coalitions(
        dv.AME,
        {"n_coalitions": 40},
        n_coalitions=v.NO_COUNT | {"too few": 10},
        probabilities=v.NO_SHARES | {"zero": [0.0], "one": [1]},
    ),
    "LeastCore": of_coalitions(dv.LeastCore, {"n_coalitions": 40}, n_coalitions=v.NO_COUNT),
    **{f"the learner of {method.__name__}": of_learner(method) for method in OF_LEARNERS},
}
