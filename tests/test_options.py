"""Mistakes in options end in one line that names the option, what was given and what is known."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import dataval as dv

KINDS = ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad"]
OPTIMIZERS = f"{', '.join(f'{kind}(...)' for kind in KINDS)} or Lion(...)"
MISTAKES = {
    "initials": (lambda: dv.SGD(lr=0.1), "SGD has no option 'lr': did you mean learning_rate?"),
    "a typing error": (
        lambda: dv.Adam(learning_rat=1),
        "Adam has no option 'learning_rat': did you mean learning_rate?",
    ),
    "unlike any": (
        lambda: dv.Checkpoints(zzz=1),
        "Checkpoints has no option 'zzz': choose among every, max_bytes",
    ),
    "without options": (
        lambda: dv.MeanSquaredError(mean=True),
        "MeanSquaredError has no option 'mean': leave it out",
    ),
    "inside of others": (
        lambda: dv.Training(optimizer={"name": "sgd", "lr": 3}),
        "SGD has no option 'lr': did you mean learning_rate?",
    ),
    "missing": (lambda: dv.SGD(), "SGD needs learning_rate"),
    "a whole float": (lambda: dv.Training(epochs=2.0), "Training: epochs must be a whole number, got 2.0"),
    "a bool": (lambda: dv.Training(epochs=True), "Training: epochs must be a whole number, got True"),
    "a string": (lambda: dv.SGD(learning_rate="0.1"), "SGD: learning_rate must be a number, got '0.1'"),
    "NaN": (lambda: dv.SGD(learning_rate=np.nan), "SGD: learning_rate must be a finite number, got nan"),
    "no bool": (lambda: dv.Training(shuffle="yes"), "Training: shuffle must be True or False, got 'yes'"),
    "out of range": (lambda: dv.Training(seed=-1), "Training: seed must be greater than or equal to 0, got -1"),
    "a number for several": (
        lambda: dv.ExplicitSchedule(values=0.5),
        "ExplicitSchedule: values must be a sequence, got 0.5",
    ),
    "a name for an optimizer": (
        lambda: dv.Training(optimizer="adam"),
        f"Training: optimizer must be {OPTIMIZERS}, got 'adam'",
    ),
    "a class for an optimizer": (
        lambda: dv.Training(optimizer=dv.SGD),
        f"must be {OPTIMIZERS}",
    ),
    "together": (
        lambda: dv.Checkpoints(every=1, max_bytes=2),
        "Checkpoints: give either every or max_bytes, not both",
    ),
    "a solver": (lambda: dv.solvers.ConjugateGradient(tol=1e-3), "did you mean tolerance?"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_in_one_line(case):
    make, message = MISTAKES[case]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "http" not in str(caught.value)


def test_an_option_without_its_name():
    with pytest.raises(TypeError, match=r"Training takes its options by keyword, got 0\.1"):
        dv.Training(0.1)


def test_numbers_of_numpy_are_numbers():
    training = dv.Training(epochs=np.int64(3), clip_norm=np.float32(0.5), shuffle=np.True_)
    assert training == dv.Training(epochs=3, clip_norm=0.5)


def test_options_travel():
    training = dv.Training(optimizer=dv.Adam(learning_rate=0.1), schedule=dv.ExplicitSchedule(values=[1, 0.5]))
    assert dv.Training.model_validate_json(training.model_dump_json()) == training
    assert dv.Training.model_validate(training.model_dump()) == training
    assert pickle.loads(pickle.dumps(training)) == training
