"""The same numbers on a GPU. Skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.backends.support import SEED, assert_near, zoo_case
from tests.zoo import torch_models
from tests.zoo.data import MAKERS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("model", sorted(set(MAKERS) - {"dropout"}))
def test_same_results_as_on_the_cpu(model):
    """1e-9 in float64: other orders of summation, nothing more. Dropout draws other masks on a GPU."""
    cases = [zoo_case(torch_models, model, device=device) for device in ("cpu", "cuda")]
    vector, weights = cases[0].numpy(cases[0].draw(cases[0].P)), cases[0].numpy(cases[0].weights())
    results = []
    for case in cases:
        arguments = case.parameters, case.buffers, case.batch
        linearization = case.backend.loss.linearize(*arguments, case.array(weights), SEED)
        bars = linearization.pullback(case.array(vector), case.array(np.zeros(case.S)))
        slopes = case.backend.loss.slopes(*arguments, case.array(vector), SEED)
        rows = case.backend.loss.rows(*arguments, SEED)
        results.append([case.numpy(a) for a in (linearization.gradient, *bars, slopes, rows)])
    for found, expected in zip(*results, strict=True):
        assert_near(found, expected, 1e-9)


def test_dropout_and_settings_on_a_gpu():
    before = torch.cuda.get_rng_state(), torch.backends.cudnn.deterministic
    case = zoo_case(torch_models, "dropout", device="cuda")
    vector, weights = case.draw(case.P), case.weights()
    arguments = case.parameters, case.buffers, case.batch
    slopes = case.numpy(case.backend.loss.slopes(*arguments, vector, SEED))
    rows = case.numpy(case.backend.loss.rows(*arguments, SEED))
    assert_near(rows @ case.numpy(vector), slopes, 1e-10)
    assert_near(case.numpy(weights) @ rows, case.gradient(case.parameters, weights)[1], 1e-10)
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.backends.cudnn.deterministic == before[1]
