"""captum: TracIn over checkpoints, with per-sample gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from captum.influence import TracInCP, TracInCPFast
from torch import nn

from benchmarks.peers.task import RATE, Task, as_matrix

DISTRIBUTION = "captum"
CHUNK = 250


def load(model: nn.Module, state: dict[str, torch.Tensor]) -> float:
    model.load_state_dict(state)
    return RATE


def tracin(task: Task) -> Callable[[], Any]:
    def action() -> Any:
        method = TracInCP(**common(task), sample_wise_grads_per_batch=True)
        return as_matrix(method.influence(task.questions.tensors))

    return action


def tracin_fast(task: Task) -> Callable[[], Any]:
    def action() -> Any:
        method = TracInCPFast(final_fc_layer="11", **common(task))
        return as_matrix(method.influence(task.questions.tensors))

    return action


def common(task: Task) -> dict[str, Any]:
    return {
        "model": task.work.model(),
        "train_dataset": task.train_set,
        "checkpoints": [model.state_dict() for model in task.models],
        "checkpoints_load_func": load,
        "loss_fn": nn.CrossEntropyLoss(reduction="sum"),
        "batch_size": CHUNK,
    }


METHODS = {"TracInCP": tracin, "TracInCPFast, last layer": tracin_fast}
