"""Values are the same under whatever modes the caller has set, which are as before afterwards."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import numpy as np
import pytest

import dataval as dv
from tests.runs import make_learner, make_samples

torch = pytest.importorskip("torch")

MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


def answers(mode, model, hessian):
    from tests.zoo import torch_models

    samples, validation = make_samples(model), make_samples(model, 6, seed=2)
    learner = make_learner(torch_models, model, epochs=2)
    with mode():
        hydra = dv.HyDRA(learner, hessian=hessian).fit(*samples)
        found = [hydra.score(*validation), hydra.attribute(*validation)]
        found.append(dv.InfluenceFunction(learner).fit(*samples, run=hydra.run_).score(*validation))
        found.append(dv.LeaveOneOut(learner, indices=[0, 1]).fit(*samples, run=hydra.run_).score(*validation))
        exported = learner.replay(*samples, hydra.run_).export()
    assert not next(exported.parameters()).is_inference()
    return found


@pytest.mark.parametrize("hessian", [False, True])
@pytest.mark.parametrize("model", ["mlp", "cnn_batch_norm"])
@pytest.mark.parametrize("mode", MODES)
def test_values_do_not_depend_on_the_callers_modes(mode, model, hessian):
    expected = answers(nullcontext, model, hessian)
    for found, right in zip(answers(MODES[mode], model, hessian), expected, strict=True):
        np.testing.assert_array_equal(found, right)


def test_one_fitted_method_may_be_asked_from_several_threads():
    """Calls of a backend are one at a time; each thread's values are those it would get alone, to the bit."""
    from tests.zoo import torch_models

    samples = make_samples("dropout")
    hydra = dv.HyDRA(make_learner(torch_models, "dropout", epochs=2), hessian=True).fit(*samples)
    questions = [make_samples("dropout", 6, seed=seed) for seed in (2, 3)]
    expected = [hydra.score(*question) for question in questions]
    found: list[list] = [[], []]

    def ask(which):
        for _ in range(8):
            found[which].append(hydra.score(*questions[which]))

    threads = [threading.Thread(target=ask, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers_, right in zip(found, expected, strict=True):
        assert len(answers_) == 8
        for answer in answers_:
            np.testing.assert_array_equal(answer, right)
