"""Cost of HyDRA over plain training: LeNet, 2,000 Fashion-MNIST images, batch 50, 20 epochs.

The plain loop is a module, torch.optim.SGD and the same number of batches. ``fit`` + ``score`` is timed as a
whole, with 500 validation images; also with checkpoints so scarce that the run is recomputed.
"""

from __future__ import annotations

import argparse

import torch
from _common import LeNet, interleaved, median_ratio, plain_torch_loop, report

import dataval as dv

SGD = {"momentum": 0.9, "weight_decay": 5e-4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = dv.datasets.load_fashion_mnist(n_train=2000, n_val=500)
    X, y, epochs = data.X_train, data.y_train, arguments.epochs

    def plain() -> None:
        plain_torch_loop(LeNet(), X, y, epochs=epochs, batch_size=50, lr=0.05, **SGD)

    def hydra(hessian: bool, checkpoints: dv.Checkpoints | None = None) -> None:
        training = dv.Training(optimizer=dv.SGD(learning_rate=0.05, **SGD), epochs=epochs, batch_size=50)
        learner = dv.Learner(LeNet(), training=training, checkpoints=checkpoints, progress=False)
        dv.HyDRA(learner, hessian=hessian).fit(X, y).score(data.X_val, data.y_val)

    few = dv.Checkpoints(every=round((epochs * len(X) / 50) ** 0.5))
    times = interleaved(
        {
            "plain": plain,
            "hessian_free": lambda: hydra(False),
            "exact": lambda: hydra(True),
            "hessian_free_few_checkpoints": lambda: hydra(False, few),
            "exact_few_checkpoints": lambda: hydra(True, few),
        },
        arguments.rounds,
    )
    ratios = {name: median_ratio(t, times["plain"]) for name, t in times.items()}
    report("hydra_cost", {"epochs": epochs, "seconds": times, "median_ratio_to_plain_training": ratios})


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)  # only the cost matters here
    main()
