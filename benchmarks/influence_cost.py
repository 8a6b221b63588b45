"""Cost of influence functions over training: LeNet, 2,000 Fashion-MNIST images, batch 50, 20 epochs.

The run is given; ``score`` is timed with 500 validation images, 20 % of the training labels flipped. Training
is `Learner.train`, and a plain PyTorch loop beside it.
"""

from __future__ import annotations

import argparse

import torch
from _common import LeNet, interleaved, median_ratio, plain_torch_loop, report

import dataval as dv

SGD = {"momentum": 0.9, "weight_decay": 5e-4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = dv.datasets.load_fashion_mnist(n_train=2000, n_val=500)
    X, epochs = data.X_train, arguments.epochs
    y, _ = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
    training = dv.Training(optimizer=dv.SGD(learning_rate=0.05, **SGD), epochs=epochs, batch_size=50)
    learner = dv.Learner(LeNet(), training=training, progress=False)
    influence = dv.InfluenceFunction(learner).fit(X, y)
    times = interleaved(
        {
            "train": lambda: learner.train(X, y),
            "plain": lambda: plain_torch_loop(LeNet(), X, y, epochs=epochs, batch_size=50, lr=0.05, **SGD),
            "influence_cg": lambda: influence.score(data.X_val, data.y_val),
        },
        arguments.rounds,
    )
    report(
        "influence_cost",
        {
            "epochs": epochs,
            "damping": influence.damping,
            "iterations": influence.diagnostics_["iterations"],
            "residual": float(influence.diagnostics_["residuals"][0]),
            "seconds": times,
            "median_ratio_to_training": median_ratio(times["influence_cg"], times["train"]),
            "median_ratio_to_plain_training": median_ratio(times["influence_cg"], times["plain"]),
        },
    )


if __name__ == "__main__":
    main()
