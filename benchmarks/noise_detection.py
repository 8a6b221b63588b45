"""What every method finds: 2,000 Fashion-MNIST images, 20 % flipped labels, LeNet, 20 epochs, batch 50.

With the learning rate falling to zero along a cosine, and with a constant one. Where a rate stays large the
last state is one of many that training hops between, and so is the validation gradient there, which the
hypergradients are about; methods that average over epochs don't mind. The cosine was chosen on seeds 10 to 12.
"""

from __future__ import annotations

import argparse
import warnings
from statistics import median
from typing import Any

import torch
from _common import LeNet, report

import dataval as dv

SCHEDULES = {"cosine": dv.CosineSchedule(), "constant": dv.ConstantSchedule()}


def one_seed(seed: int, schedule: str) -> dict[str, Any]:
    data = dv.datasets.load_fashion_mnist(n_train=2000, n_val=500, seed=seed)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=seed)
    optimizer = dv.SGD(learning_rate=0.05, momentum=0.9, weight_decay=5e-4)
    training = dv.Training(
        optimizer=optimizer, epochs=20, batch_size=50, schedule=SCHEDULES[schedule], seed=seed
    )
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
        print(schedule, seed, name, result[name], flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--schedules", nargs="+", default=list(SCHEDULES), choices=SCHEDULES)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter(
        "ignore", dv.ChaoticTrainingWarning
    )  # what they find is measured, not what they predict
    report("noise_detection", {name: measure(name, arguments.seeds) for name in arguments.schedules})


def measure(schedule: str, n_seeds: int) -> dict[str, Any]:
    runs = [one_seed(seed, schedule) for seed in range(n_seeds)]
    medians = {
        name: {figure: median(run[name][figure] for run in runs) for figure in runs[0][name]}
        for name in runs[0]
        if name != "seed"
    }
    return {"medians": medians, "seeds": runs}


if __name__ == "__main__":
    main()
