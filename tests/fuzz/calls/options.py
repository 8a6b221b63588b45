"""Options: of training, losses, solvers."""

from __future__ import annotations

import dataval as dv
from tests.fuzz import values as v
from tests.fuzz.calls.call import (
    Call,
)
from tests.fuzz.values import but

FACTORS = {
    "fisher": v.NO_NAME,
    "n_draws": v.NO_COUNT,
    "sharing": v.NO_NAME,
    "uncovered": v.NO_NAME,
    "seed": v.NO_WHOLE,
}

OPTIONS = {
    "SGD": Call(
        dv.SGD,
        {"learning_rate": 0.1},
        {
            "learning_rate": v.NO_NUMBER | {"zero": 0, "below 0": -1},
            "momentum": v.NO_SHARE | {"one": 1},
            "dampening": v.NO_SHARE,
            "nesterov": v.NO_FLAG,
            "weight_decay": v.NO_NUMBER | {"below 0": -1},
        },
    ),
    "Adam": Call(
        dv.Adam,
        {},
        {
            "learning_rate": v.NO_NUMBER | {"zero": 0, "below 0": -1},
            "betas": but(v.NO_NUMBER, "a tuple", "an array")
            | {"one of them": (0.9,), "above 1": (0.9, 1.5), "three": (0.9,) * 3},
            "epsilon": v.NO_NUMBER | {"zero": 0},
            "weight_decay": v.NO_NUMBER | {"below 0": -1},
        },
    ),
    "AdamW": Call(dv.AdamW, {}, {"weight_decay": v.NO_NUMBER | {"below 0": -1}}),
    "NAdam": Call(
        dv.NAdam,
        {},
        {
            "momentum_decay": v.NO_NUMBER | {"below 0": -1},
            "decoupled_weight_decay": v.NO_FLAG,
        },
    ),
    "RAdam": Call(dv.RAdam, {}, {"epsilon": v.NO_NUMBER | {"zero": 0}, "decoupled_weight_decay": v.NO_FLAG}),
    "RMSprop": Call(
        dv.RMSprop,
        {},
        {
            "learning_rate": v.NO_NUMBER | {"zero": 0, "below 0": -1},
            "alpha": v.NO_SHARE | {"one": 1},
            "epsilon": v.NO_NUMBER | {"zero": 0},
            "momentum": v.NO_SHARE | {"one": 1},
            "centered": v.NO_FLAG,
            "weight_decay": v.NO_NUMBER | {"below 0": -1},
        },
    ),
    "Adagrad": Call(
        dv.Adagrad,
        {},
        {
            "learning_rate_decay": v.NO_NUMBER | {"below 0": -1},
            "initial_accumulator": v.NO_NUMBER | {"below 0": -1},
            "epsilon": v.NO_NUMBER | {"zero": 0},
        },
    ),
    "Lion": Call(dv.Lion, {}, {"learning_rate": v.NO_NUMBER | {"zero": 0, "below 0": -1}}),
    "Training": Call(
        dv.Training,
        {},
        {
            "epochs": v.NO_COUNT,
            "batch_size": v.NO_COUNT,
            "optimizer": v.NO_OPTIONS,
            "schedule": but(v.NO_OPTIONS, "a function"),
            "clip_norm": v.NO_NUMBER | {"zero": 0},
            "shuffle": v.NO_FLAG,
            "drop_last": v.NO_FLAG,
            "seed": v.NO_WHOLE,
        },
    ),
    "Checkpoints": Call(dv.Checkpoints, {}, {"every": v.NO_COUNT, "max_bytes": v.NO_COUNT}),
    "ConstantSchedule": Call(dv.ConstantSchedule, {}, {"warmup_steps": v.NO_WHOLE}),
    "CosineSchedule": Call(dv.CosineSchedule, {}, {"warmup_steps": v.NO_WHOLE, "min_factor": v.NO_SHARE}),
    "LinearSchedule": Call(dv.LinearSchedule, {}, {"end_factor": v.NO_NUMBER | {"below 0": -1}}),
    "PolynomialSchedule": Call(
        dv.PolynomialSchedule, {}, {"power": v.NO_NUMBER | {"zero": 0}, "end_factor": v.NO_SHARE}
    ),
    "ExponentialSchedule": Call(
        dv.ExponentialSchedule, {"gamma": 0.9}, {"gamma": v.NO_NUMBER | {"zero": 0, "above 1": 1.5}}
    ),
    "OneCycleSchedule": Call(
        dv.OneCycleSchedule,
        {},
        {
            "rising_share": v.NO_SHARE | {"zero": 0, "one": 1},
            "start_divisor": v.NO_NUMBER | {"zero": 0},
            "end_divisor": v.NO_NUMBER | {"zero": 0},
            "three_phases": v.NO_FLAG,
        },
    ),
    "TokenCrossEntropy": Call(dv.TokenCrossEntropy, {}, {"ignore_index": v.NO_NUMBER, "shift": v.NO_FLAG}),
    "StepSchedule": Call(
        dv.StepSchedule,
        {"every_epochs": 1},
        {
            "every_epochs": v.NO_COUNT,
            "gamma": v.NO_NUMBER | {"zero": 0},
        },
    ),
    "ExplicitSchedule": Call(
        dv.ExplicitSchedule,
        {"values": (1.0,)},
        {
            "values": but(v.NO_SHARES, "negative", "above 1"),
            "per": v.NO_NAME,
        },
    ),
    "CrossEntropy": Call(
        dv.CrossEntropy,
        {},
        {
            "label_smoothing": v.NO_SHARE | {"one": 1},
            "class_weights": but(v.NO_SHARES, "above 1") | {"zeros": (0.0, 0.0)},
        },
    ),
    "BinaryCrossEntropy": Call(
        dv.BinaryCrossEntropy,
        {},
        {
            "label_smoothing": v.NO_SHARE | {"one": 1},
            "class_weights": but(v.NO_SHARES, "above 1"),
        },
    ),
    "KFAC": Call(dv.KFAC, {}, FACTORS),
    "EKFAC": Call(dv.EKFAC, {}, FACTORS),
    "ConjugateGradient": Call(
        dv.solvers.ConjugateGradient,
        {},
        {
            "tolerance": v.NO_SHARE | {"zero": 0},
            "max_iterations": v.NO_COUNT,
            "preconditioner": v.NO_FUNCTION,
        },
    ),
    "LiSSA": Call(
        dv.solvers.LiSSA,
        {},
        {
            "scale": v.NO_NUMBER | {"zero": 0},
            "tolerance": v.NO_SHARE | {"zero": 0},
            "max_iterations": v.NO_COUNT,
        },
    ),
    "Arnoldi": Call(
        dv.solvers.Arnoldi,
        {},
        {
            "rank": v.NO_COUNT,
            "n_iterations": v.NO_COUNT,
            "tolerance": v.NO_NUMBER | {"zero": 0},
            "seed": v.NO_WHOLE,
        },
    ),
    "Exact": Call(dv.solvers.Exact, {}, {"max_parameters": v.NO_COUNT}),
    "as_solver": Call(
        dv.solvers.as_solver,
        {"solver": "cg"},
        {"solver": but(v.NO_NAME, "a list") | {"a list": ["cg"], "None": None}},
    ),
}
