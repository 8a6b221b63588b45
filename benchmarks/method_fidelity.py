"""How well values predict retraining: softmax regression on Fashion-MNIST, several methods.

500 images with 20 % flipped labels, batch 50, SGD 0.05 with momentum 0.9 and weight decay 5e-4, 10 epochs,
1,000 validation images. Spearman's correlation with leave-one-out of all 500, and the linear datamodeling score
when a random 5 % is removed. Every seed draws its own images, flips, initialisation, batches and subsets.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

import torch
from _common import report
from scipy.stats import spearmanr
from torch import nn

import dataval as dv


def softmax_regression() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def one_seed(seed: int, n_subsets: int) -> dict[str, Any]:
    data = dv.datasets.load_fashion_mnist(n_train=500, n_val=1000, seed=seed)
    y, _ = dv.noise.flip_labels(data.y_train, 0.2, seed=seed)
    optimizer = dv.SGD(learning_rate=0.05, momentum=0.9, weight_decay=5e-4)
    training = dv.Training(optimizer=optimizer, epochs=10, batch_size=50, seed=seed)
    learner = dv.Learner(softmax_regression, training=training)
    run = learner.train(data.X_train, y)
    methods = {
        "hydra_exact": dv.HyDRA(learner, hessian=True),
        "hydra_hessian_free": dv.HyDRA(learner),
        "influence_cg": dv.InfluenceFunction(learner),
        "influence_identity": dv.InfluenceFunction(learner, solver="identity"),
        "tracin": dv.TracIn(learner),
        "mean_loss": dv.MeanLoss(learner),
        "random": dv.RandomValues(learner),
    }
    truth = dv.LeaveOneOut(learner).fit(data.X_train, y, run=run).score(data.X_val, data.y_val)
    subsets = dv.evaluation.retrain_subsets(
        learner, data.X_train, y, data.X_val, data.y_val, run=run, n_subsets=n_subsets, fraction=0.05, seed=seed
    )
    result: dict[str, Any] = {"seed": seed}
    for name, method in methods.items():
        values = method.fit(data.X_train, y, run=run).score(data.X_val, data.y_val)
        score = dv.evaluation.linear_datamodeling_score(values, subsets).score
        result[name] = {
            "spearman_to_leave_one_out": round(float(spearmanr(values, truth).statistic), 3),
            "linear_datamodeling_score": round(score, 3),
        }
    print(result, flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--subsets", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    runs = [one_seed(seed, arguments.subsets) for seed in range(arguments.seeds)]
    medians = {
        name: {figure: median(run[name][figure] for run in runs) for figure in runs[0][name]}
        for name in runs[0]
        if name != "seed"
    }
    report("method_fidelity", {"n_subsets": arguments.subsets, "medians": medians, "seeds": runs})


if __name__ == "__main__":
    main()
