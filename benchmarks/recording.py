"""Cost of recording: a loop with a recorder over the same loop without, batch 64, default proof.

LeNet on 2,000 Fashion-MNIST images; a small BERT (2 layers, width 64) on 1,280 random sentences of 32 words.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from _common import LeNet, interleaved, median_ratio, report
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dataval as dv
import dataval_torch


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = dv.datasets.load_fashion_mnist(n_train=2000, n_val=10)
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(0, 1000, (1280, 32), generator=generator)
    tasks = {
        "lenet": (LeNet, TensorDataset(torch.tensor(images.X_train), torch.tensor(images.y_train))),
        "bert": (small_bert, TensorDataset(words, words[:, 0] % 4)),
    }
    found = {}
    for name, (build, data) in tasks.items():
        run = loop(build, data, arguments.epochs, recorded=True)
        times = interleaved(
            {
                "plain": lambda build=build, data=data: loop(build, data, arguments.epochs, recorded=False),
                "recorded": lambda build=build, data=data: loop(build, data, arguments.epochs, recorded=True),
            },
            arguments.rounds,
        )
        found[name] = {
            "updates": run.n_steps,
            "proved": int(run.evidence.is_proved.sum()),
            "grade": run.evidence.grade,
            "seconds": times,
            "median_ratio": median_ratio(times["recorded"], times["plain"]),
        }
    report("recording", {"epochs": arguments.epochs, "batch_size": 64, **found})


if __name__ == "__main__":
    main()
