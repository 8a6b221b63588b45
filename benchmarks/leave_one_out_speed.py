"""Leave-one-out as one vectorised program over one run after another.

500 Fashion-MNIST images, batch 50, 64 leave-outs, SGD with momentum 0.9. Softmax regression, an MLP 784-64-10
and LeNet. Both ways go through the same function; one after another is a group size of 1. Beside them, a plain
PyTorch loop that trains as many times, without evaluating anything.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from _common import LeNet, interleaved, median_ratio, plain_torch_loop, report
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
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--leave-outs", type=int, default=64)
    parser.add_argument("--group-sizes", type=int, nargs="*", default=[])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, torch.get_num_threads()])
    arguments = parser.parse_args()
    result: dict[str, Any] = {"epochs": arguments.epochs, "leave_outs": arguments.leave_outs}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        result[f"{threads}_threads"] = {name: measure(name, arguments) for name in arguments.models}
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

    def plain_loops() -> None:
        for _ in range(1 + arguments.leave_outs):
            options = {"epochs": arguments.epochs, "batch_size": 50, "lr": 0.01, "momentum": 0.9}
            plain_torch_loop(MODELS[name](), data.X_train, data.y_train, **options)

    ways = {"one_after_another": 1, "vectorised": None, **{f"groups_of_{k}": k for k in arguments.group_sizes}}
    functions: dict[str, Any] = {way: lambda size=size: leave_out(size) for way, size in ways.items()}
    times = interleaved(functions | {"plain_loops": plain_loops}, arguments.rounds)
    speedup = {way: median_ratio(times["one_after_another"], t) for way, t in times.items()}
    over_plain = median_ratio(times["plain_loops"], times["vectorised"])
    return {"seconds": times, "median_speedup": speedup, "median_speedup_over_plain_loops": over_plain}


if __name__ == "__main__":
    main()
