"""What the benchmarks share: the models, the plain loop, the machine, and where results go."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

import dataval as dv

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Describe the machine and the versions."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "dataval": dv.__version__,
    }


def report(name: str, result: dict[str, Any]) -> None:
    """Print a result and keep it as JSON."""
    RESULTS.mkdir(exist_ok=True)
    document = {"benchmark": name, "machine": machine(), **result}
    text = json.dumps(document, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def interleaved(functions: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Time functions in turn, so that a slow moment of the machine meets them all."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            start = perf_counter()
            function()
            elapsed = perf_counter() - start
            if round_:  # the first round warms up
                times[name].append(elapsed)
                print(f"round {round_}/{rounds}: {name} {elapsed:.2f} s", file=sys.stderr)
    return times


def median_ratio(times: list[float], base: list[float]) -> float:
    """Return the median of the ratios of neighbouring timings."""
    return round(median(t / b for t, b in zip(times, base, strict=True)), 2)


class LeNet(nn.Sequential):
    """LeNet-5 for images (1, 28, 28)."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU, pool: type[nn.Module] = nn.MaxPool2d) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2),
            activation(),
            pool(2),
            nn.Conv2d(6, 16, 5),
            activation(),
            pool(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            activation(),
            nn.Linear(120, 84),
            activation(),
            nn.Linear(84, 10),
        )


def plain_torch_loop(
    model: nn.Module, X: np.ndarray, y: np.ndarray, *, epochs: int, batch_size: int, **sgd: float
) -> nn.Module:
    """Train as a PyTorch tutorial does."""
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    optimizer = torch.optim.SGD(model.parameters(), **sgd)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    return model


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
