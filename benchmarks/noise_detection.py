"""What every method finds: 2,000 Fashion-MNIST images, 20 % flipped labels, LeNet, 20 epochs, batch 50."""

from __future__ import annotations

import argparse
import warnings
from statistics import median
from typing import Any

import torch
from _common import LeNet, report

import dataval as dv


def one_seed(seed: int) -> dict[str, Any]:
    data = dv.datasets.load_fashion_mnist(n_train=2000, n_val=500, seed=seed)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=seed)
    optimizer = dv.SGD(learning_rate=0.05, momentum=0.9, weight_decay=5e-4)
    training = dv.Training(optimizer=optimizer, epochs=20, batch_size=50, seed=seed)
    learner = dv.Learner(lambda: LeNet(), training=training, progress=False)  # noqa: PLW0108 - it is a class
    run = learner.train(data.X_train, y)
    methods = {
        "mean_loss": dv.MeanLoss(learner),
        "area_under_margin": dv.AreaUnderMargin(learner),
        "forgetting_events": dv.ForgettingEvents(learner),
        "el2n": dv.EL2N(learner),
        "grand": dv.GraNd(learner),
        "hydra_hessian_free": dv.HyDRA(learner),
        "hydra_exact": dv.HyDRA(learner, hessian=True),
        "influence_cg": dv.InfluenceFunction(learner),
        "influence_identity": dv.InfluenceFunction(learner, solver="identity"),
        "tracin": dv.TracIn(learner),
        "random": dv.RandomValues(learner),
    }
    result: dict[str, Any] = {"seed": seed}
    for name, method in methods.items():
        values = method.fit(data.X_train, y, run=run).score(data.X_val, data.y_val)
        found = dv.evaluation.noise_detection(values, is_noisy, n_bootstrap=0)
        result[name] = {
            "auroc": round(found.auroc.value, 3),
            "average_precision": round(found.average_precision.value, 3),
        }
        print(seed, name, result[name], flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter(
        "ignore", dv.ChaoticTrainingWarning
    )  # what they find is measured, not what they predict
    runs = [one_seed(seed) for seed in range(arguments.seeds)]
    medians = {
        name: {figure: median(run[name][figure] for run in runs) for figure in runs[0][name]}
        for name in runs[0]
        if name != "seed"
    }
    report("noise_detection", {"medians": medians, "seeds": runs})


if __name__ == "__main__":
    main()
