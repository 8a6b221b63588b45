"""Leave-one-out as one vectorised program over one run after another.

500 Fashion-MNIST images, batch 50, 64 leave-outs, SGD with momentum 0.9. Softmax regression, an MLP 784-64-10
and LeNet. Both ways go through the same function; one after another is a group size of 1.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from _common import LeNet, interleaved, median_ratio, report
from torch import nn

import dataval as dv

MODELS = {
    "softmax_regression": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)),
    "lenet": lambda: LeNet(nn.ReLU, nn.MaxPool2d),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--leave-outs", type=int, default=64)
    parser.add_argument("--group-sizes", type=int, nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result: dict[str, Any] = {"epochs": arguments.epochs, "leave_outs": arguments.leave_outs}
    for name in arguments.models:
        result[name] = measure(name, arguments)
    report("leave_one_out_speed", result)


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    data = dv.datasets.load_fashion_mnist(n_train=500, n_val=200)
    training = dv.Training(
        optimizer=dv.SGD(learning_rate=0.01, momentum=0.9), epochs=arguments.epochs, batch_size=50
    )
    learner = dv.Learner(MODELS[name], training=training, progress=False)
    run = learner.train(data.X_train, data.y_train)

    def leave_out(group_size: int | None) -> None:
        truth = dv.LeaveOneOut(learner, indices=range(arguments.leave_outs), group_size=group_size)
        truth.fit(data.X_train, data.y_train, run=run).score(data.X_val, data.y_val)

    ways = {"one_after_another": 1, "vectorised": None, **{f"groups_of_{k}": k for k in arguments.group_sizes}}
    times = interleaved(
        {way: lambda size=size: leave_out(size) for way, size in ways.items()}, arguments.rounds
    )
    speedup = {way: median_ratio(times["one_after_another"], t) for way, t in times.items()}
    return {"seconds": times, "median_speedup": speedup}


if __name__ == "__main__":
    main()
