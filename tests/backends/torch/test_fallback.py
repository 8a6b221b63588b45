"""The first way that works is used, after a rehearsal against the last."""

from __future__ import annotations

import pytest
import torch

from dataval_torch.derivatives import slopes
from dataval_torch.derivatives.gradients import vmapped_rows
from dataval_torch.fallback import FirstThatWorks
from tests.backends.support import SEED, zoo_case
from tests.zoo import torch_models


def right(x):
    return x * 2


def wrong(x):
    return x * 2 + (x > 1)


def unsupported(x):
    raise NotImplementedError


def small_case():
    return (torch.tensor([0.5, 3.0]),)


@pytest.mark.parametrize("first", [wrong, unsupported])
def test_a_way_that_fails_is_passed_over_for_good(first):
    chosen = FirstThatWorks(first, right, rehearsal=small_case)
    assert chosen(torch.tensor([4.0])) == 8.0
    assert chosen._ways == [right]


def test_a_way_that_agrees_is_rehearsed_once():
    rehearsals = []

    def case():
        rehearsals.append(1)
        return small_case()

    chosen = FirstThatWorks(lambda x: x + x, right, rehearsal=case)
    assert [chosen(torch.tensor([i])).item() for i in (1.0, 2.0)] == [2.0, 4.0]
    assert len(chosen._ways) == 2
    assert len(rehearsals) == 1


def test_the_last_way_raises():
    with pytest.raises(NotImplementedError):
        FirstThatWorks(wrong, unsupported, rehearsal=small_case)(torch.ones(1))


def test_running_out_of_memory_is_not_a_missing_operation():
    def hungry(x):
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError):
        FirstThatWorks(hungry, right)(torch.ones(1))


def test_results_of_several_tensors_are_compared():
    chosen = FirstThatWorks(lambda x: [x, x], lambda x: [x, 2 * x], rehearsal=small_case)
    assert chosen(torch.ones(1))[1] == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", ["mlp", "cnn_max_pool", "cnn_batch_norm", "dropout", "transformer", "lstm"])
def test_common_models_keep_the_fast_ways(model, dtype):
    case = zoo_case(torch_models, model, dtype=dtype)
    arguments = case.parameters, case.buffers, case.batch
    case.backend.loss_jvp(*arguments, case.draw(case.P), SEED)
    case.backend.per_sample_gradients(*arguments, SEED)
    case.backend.objective_gradients(*arguments, None)
    case.backend.ensemble_gradient(
        case.draw(2, case.P), case.draw(2, case.S), case.batch, case.weights(2), SEED
    )
    assert case.backend._slopes._ways[0] is slopes.forward_mode
    if model == "lstm":  # PyTorch has no batching rule for it
        return
    assert case.backend._eval_rows._ways[0] is vmapped_rows
    assert case.backend._rows._ways[0] is vmapped_rows
    assert len(case.backend.side_by_side._ways) == 2
