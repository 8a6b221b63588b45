"""What ``dataval detect`` finds, and why its default is the mean loss.

A tenth of the labels of each data set is flipped, and nothing else is known: there are no clean labels to
validate with. Compared are the two methods that the command offers, and Hessian-free HyDRA by five-fold
cross-validation (each fold in turn is the validation set, values are averaged over the four that a row gets).
Model and training are the command's. Means over seeds that draw data, flips, initialisation, batches and folds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _common import report
from sklearn.model_selection import KFold

import dataval as dv
from dataval.cli.samples import Samples
from dataval.cli.suspicion import make_learner, predict_held_out, suspicion_values
from dataval.cli.targets import Targets

FLIPPED = 0.1

DATASETS: dict[str, Callable[[int], dv.datasets.Dataset]] = {
    "wine": lambda seed: dv.datasets.load_wine(n_val=1, seed=seed),
    "breast cancer": lambda seed: dv.datasets.load_breast_cancer(n_val=1, seed=seed),
    "digits, 500": lambda seed: dv.datasets.load_digits(n_train=500, seed=seed),
}


def cross_validated_hydra(samples: Samples, seed: int) -> np.ndarray:
    learner = make_learner(samples, None, 20, seed)
    values = np.zeros(len(samples.y))
    for train, held_out in KFold(5, shuffle=True, random_state=seed).split(samples.X):
        hydra = dv.HyDRA(learner).fit(samples.X[train], samples.y[train])
        values[train] += hydra.score(samples.X[held_out], samples.y[held_out]) / 4
    return values


def one_seed(data: dv.datasets.Dataset, seed: int) -> dict[str, dict[str, float]]:
    y, is_noisy = dv.noise.flip_labels(data.y_train, FLIPPED, seed=seed)
    labels = [data.class_names[label] for label in y]
    samples = Samples(data.X_train, Targets(y, data.class_names), labels, np.arange(len(y)))
    learner = make_learner(samples, None, 20, seed)
    held_out = predict_held_out(learner, samples, seed)
    values = {
        "mean-loss": suspicion_values(learner, samples, "mean-loss", held_out),
        "held-out-loss": suspicion_values(learner, samples, "held-out-loss", held_out),
        "hydra, five folds": cross_validated_hydra(samples, seed),
    }
    reports = {name: dv.evaluation.noise_detection(v, is_noisy, n_bootstrap=0) for name, v in values.items()}
    return {
        name: {"auroc": each.auroc.value, "average_precision": each.average_precision.value}
        for name, each in reports.items()
    }


def mean(runs: list[dict[str, dict[str, float]]], method: str) -> dict[str, float]:
    return {key: round(float(np.mean([run[method][key] for run in runs])), 3) for key in runs[0][method]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)
    document: dict[str, Any] = {"flipped": FLIPPED, "seeds": arguments.seeds, "datasets": {}}
    for name, load in DATASETS.items():
        runs = [one_seed(load(seed), seed) for seed in range(arguments.seeds)]
        document["datasets"][name] = {method: mean(runs, method) for method in runs[0]}
        print(name, document["datasets"][name], flush=True)
    report("detection", document)


if __name__ == "__main__":
    main()
