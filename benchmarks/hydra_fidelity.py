"""How well HyDRA's values predict retraining: the linear datamodeling score on Fashion-MNIST.

1,000 images with 20 % flipped labels, batch 50, momentum 0.9, weight decay 5e-4, 10 epochs; a random 1 % is
removed 40 times and the model trained again. LeNet with GELU and average pooling at learning rate 0.02, and
softmax regression at 0.005, both on standardised pixels (``--raw`` leaves them in [0, 1], where the LeNet
spends most of the run on its initial plateau and the moment at which it leaves it decides everything). Every
seed draws its own images, flips, initialisation, batches and subsets. Both variants are judged by the same
retrainings.
"""

from __future__ import annotations

import argparse
import tempfile
from statistics import median
from typing import Any

import numpy as np
import torch
from _common import LeNet, report
from torch import nn

import dataval as dv


def lenet() -> nn.Module:
    return LeNet(nn.GELU, nn.AvgPool2d)


def softmax_regression() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


SETTINGS = {"lenet": (lenet, 0.02), "softmax_regression": (softmax_regression, 0.005)}


def one_seed(name: str, seed: int, n_subsets: int, fraction: float, raw: bool) -> dict[str, Any]:
    build, rate = SETTINGS[name]
    data = dv.datasets.load_fashion_mnist(n_train=1000, n_val=1000, seed=seed)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=seed)
    X, X_val = data.X_train, data.X_val
    if not raw:
        mean, scale = X.mean(axis=0), X.std(axis=0) + 1e-8
        X, X_val = (X - mean) / scale, np.clip((X_val - mean) / scale, -10, 10)
    training = dv.Training(
        optimizer=dv.SGD(learning_rate=rate, momentum=0.9, weight_decay=5e-4),
        epochs=10,
        batch_size=50,
        seed=seed,
    )
    learner = dv.Learner(build, training=training)
    exact = dv.HyDRA(learner, hessian=True).fit(X, y)
    free = dv.HyDRA(learner).fit(X, y, run=exact.run_)
    result: dict[str, Any] = {"seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        for variant, hydra in {"exact": exact, "hessian_free": free}.items():
            values = hydra.score(X_val, data.y_val)
            check = hydra.verify(
                X_val,
                data.y_val,
                values=values,
                n_subsets=n_subsets,
                fraction=fraction,
                seed=seed,
                folder=folder,
            )
            detection = dv.evaluation.noise_detection(values, is_noisy, n_bootstrap=0)
            result[variant] = {
                "score": round(check.score, 3),
                "confidence_interval": [round(end, 3) for end in check.confidence_interval],
                "pearson": round(float(np.corrcoef(check.predicted, check.actual)[0, 1]), 3),
                "cotangent_growth": round(hydra.diagnostics_["growth"], 2),
                "noise_auroc": round(detection.auroc.value, 3),
            }
    print(name, result, flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--subsets", type=int, default=40)
    parser.add_argument("--fraction", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--raw", action="store_true", help="leave pixels in [0, 1]")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    document: dict[str, Any] = {
        "n_subsets": arguments.subsets,
        "fraction": arguments.fraction,
        "pixels": "in [0, 1]" if arguments.raw else "standardised",
    }
    for name in arguments.settings:
        options = arguments.subsets, arguments.fraction, arguments.raw
        runs = [one_seed(name, seed, *options) for seed in range(arguments.seeds)]
        document[name] = {
            "median_exact": median(run["exact"]["score"] for run in runs),
            "median_hessian_free": median(run["hessian_free"]["score"] for run in runs),
            "seeds": runs,
        }
    report("hydra_fidelity_raw" if arguments.raw else "hydra_fidelity", document)


if __name__ == "__main__":
    main()
