"""Ctrl-C while HyDRA answers: asked the same again it goes on, asked another it starts anew."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.training.program import Program
from tests.runs import make_learner, make_samples

SAMPLES, VALIDATION = make_samples(), make_samples(n=5, seed=2)
OPTIMIZERS = {"linear": dv.SGD(learning_rate=0.1, momentum=0.9), "other": dv.Adam(learning_rate=0.01)}


@pytest.fixture
def interrupt(monkeypatch):
    """Return what counts the updates of sweeps, and interrupts them once at one."""
    calls: list[int] = []

    def at(number):
        calls.clear()

        def wrap(original):
            def wrapped(self, *args):
                calls.append(1)
                if len(calls) == number:
                    raise KeyboardInterrupt
                return original(self, *args)

            return wrapped

        for name in ("pullback", "pullback_hessian_free", "slopes", "products"):
            monkeypatch.setattr(Program, name, wrap(getattr(Program, name)))
        return calls

    return at


@pytest.mark.parametrize("checkpoints", [dv.Checkpoints(every=1), dv.Checkpoints(every=5)], ids=["all", "few"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("hessian", [False, True])
@pytest.mark.parametrize("ask", ["score", "attribute"])
def test_it_goes_on_where_it_stopped(zoo, interrupt, ask, hessian, optimizer, checkpoints):
    learner = make_learner(zoo, optimizer=OPTIMIZERS[optimizer], checkpoints=checkpoints)
    hydra = dv.HyDRA(learner, hessian=hessian, chunk_size=2).fit(*SAMPLES)
    n_steps, n_parts = hydra.run_.n_steps, 1 if ask == "score" else 3
    expected = getattr(hydra, ask)(*VALIDATION)
    calls = interrupt(n_parts * n_steps - 3)
    with pytest.raises(KeyboardInterrupt):
        getattr(hydra, ask)(*VALIDATION)
    before = len(calls)
    np.testing.assert_array_equal(getattr(hydra, ask)(*VALIDATION), expected)
    assert len(calls) - before == 4  # the update that was broken off, and those after it
    getattr(hydra, ask)(*VALIDATION)
    assert len(calls) - before == 4 + n_parts * n_steps


def test_another_question_starts_anew(zoo, interrupt):
    hydra = dv.HyDRA(make_learner(zoo), hessian=True).fit(*SAMPLES)
    other = make_samples(n=5, seed=3)
    expected = hydra.score(*other)
    calls = interrupt(6)
    with pytest.raises(KeyboardInterrupt):
        hydra.score(*VALIDATION)
    np.testing.assert_array_equal(hydra.score(*other), expected)
    assert len(calls) == 6 + hydra.run_.n_steps


def test_groups_and_single_samples_are_other_questions(zoo, interrupt):
    hydra = dv.HyDRA(make_learner(zoo), hessian=True).fit(*SAMPLES)
    groups = [0, 0, 1, 1, 2]
    expected = hydra.score(*VALIDATION), hydra.attribute(*VALIDATION, groups=groups)
    for ask in (hydra.score, hydra.attribute):
        interrupt(6)
        with pytest.raises(KeyboardInterrupt):
            ask(*VALIDATION)
        np.testing.assert_array_equal(hydra.attribute(*VALIDATION, groups=groups), expected[1])
    interrupt(6)
    with pytest.raises(KeyboardInterrupt):
        hydra.attribute(*VALIDATION)
    np.testing.assert_array_equal(hydra.score(*VALIDATION), expected[0])
