"""The memory that a forward pass keeps, where it can be counted by hand, and what it decides."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import dataval as dv
from dataval.retraining import retrain as retraining
from dataval_torch.together.activations import counted_activations


def make_program(batch_size=4, width=256):
    module = nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3))
    training = dv.Training(epochs=1, batch_size=batch_size)
    X, y = np.random.default_rng(0).normal(size=(12, 6)), np.arange(12) % 3
    return dv.Learner(module, training=training, progress=False).prepare(X, y).program


def test_counts_each_piece_of_memory_once_and_no_parameter():
    weight, x = torch.ones(5, 5, requires_grad=True), torch.ones(3, 5)
    with counted_activations([weight]) as kept:
        y = torch.tanh(x @ weight)
        (y * y).sum()
    assert kept.total == x.nbytes + y.nbytes


def test_a_wider_model_keeps_more():
    narrow, wide = make_program(width=256), make_program(width=512)
    item = torch.finfo(wide.backend.model.dtype).bits // 8
    assert wide.backend.activation_bytes - narrow.backend.activation_bytes == 256 * item


def test_groups_are_bounded_by_activations(monkeypatch):
    program = make_program()
    assert retraining._choose_group_size(program, is_kept=False) == retraining._MAX_GROUP
    of_a_batch = 4 * program.backend.activation_bytes
    monkeypatch.setattr(retraining, "_ACTIVATION_BYTES", 2 * 10 * of_a_batch)
    assert retraining._choose_group_size(program, is_kept=False) == 10
