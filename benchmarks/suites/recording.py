"""Cost of recording: a loop with a recorder over the same loop without, batch 64, default proof.

LeNet on 2,000 Fashion-MNIST images; a small BERT (2 layers, width 64) on 1,280 random sentences of 32 words.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval_torch
from benchmarks.runner.clock import Action
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Ratio, Suite
from benchmarks.work import fashion, lenet


def loop(build: Callable[[], nn.Module], data: TensorDataset, epochs: int, *, recorded: bool) -> Any:
    """Train as a script does."""
    torch.manual_seed(0)
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loader = DataLoader(data, 64, shuffle=True)
    recorder = dataval_torch.Recorder(model, optimizer) if recorded else None
    for _ in range(epochs):
        for x, y in recorder.batches(loader) if recorder else loader:
            outputs = model(x)
            outputs = getattr(outputs, "logits", outputs)
            nn.functional.cross_entropy(outputs, y).backward()
            optimizer.step()
            optimizer.zero_grad()
    return recorder.finish() if recorder else None


def small_bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=1000,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=32,
        num_labels=4,
    )
    return BertForSequenceClassification(config)


def images(settings: Settings) -> tuple[Callable[[], nn.Module], TensorDataset]:
    found = fashion(settings.pick(2000, 128), 10)
    return lenet, TensorDataset(torch.tensor(found.X_train), torch.tensor(found.y_train))


def sentences(settings: Settings) -> tuple[Callable[[], nn.Module], TensorDataset]:
    words = torch.randint(0, 1000, (settings.pick(1280, 128), 32), generator=torch.Generator().manual_seed(0))
    return small_bert, TensorDataset(words, words[:, 0] % 4)


def action(task: Callable[[Settings], tuple[Any, TensorDataset]], recorded: bool, settings: Settings) -> Action:
    build, data = task(settings)
    return lambda: loop(build, data, settings.pick(10, 1), recorded=recorded)


SUITE = Suite(
    "recording",
    "Recording one's own loop, over the same loop without a recorder, default proof: LeNet on 2,000 "
    "Fashion-MNIST images and a small BERT on 1,280 random sentences, batch 64, 10 epochs, AdamW.",
    [
        Ratio(name, partial(action, task, True), partial(action, task, False), unit="x loop without recorder")
        for name, task in {"LeNet": images, "BERT, 2 layers of 64": sentences}.items()
    ],
)
