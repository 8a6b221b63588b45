"""What ``dataval detect`` finds, in tables and with networks.

A tenth of the labels of each data set is flipped, and nothing else is known: there are no clean labels to
validate with. Compared are what judges tables, the two methods of networks, and Hessian-free HyDRA by five-fold
cross-validation (each fold in turn is the validation set, values are averaged over the four that a row gets).
Model and training are the command's. Means over seeds that draw data, flips, initialisation, batches and folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from sklearn.model_selection import KFold

import dataval as dv
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from dataval.cli.networks import make_learner, network_suspicion
from dataval.cli.samples import Samples
from dataval.cli.suspicion import suspicion
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
    values = {
        "tables": suspicion(samples, seed).values,
        "mean-loss": network_suspicion(learner, samples, "mean-loss", seed).values,
        "held-out-loss": network_suspicion(learner, samples, "held-out-loss", seed).values,
        "hydra, five folds": cross_validated_hydra(samples, seed),
    }
    reports = {name: dv.evaluation.noise_detection(v, is_noisy, n_bootstrap=0) for name, v in values.items()}
    return {
        name: {"auroc": each.auroc.value, "average_precision": each.average_precision.value}
        for name, each in reports.items()
    }


def mean(runs: list[dict[str, dict[str, float]]], method: str) -> dict[str, float]:
    return {key: round(float(np.mean([run[method][key] for run in runs])), 3) for key in runs[0][method]}


def find(name: str, settings: Settings) -> Iterator[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)
        runs = [one_seed(DATASETS[name](seed), seed) for seed in range(min(settings.repeats, 3))]
    yield from rows(name, {method: mean(runs, method) for method in runs[0]}, len(runs))


def rows(name: str, found: dict[str, dict[str, float]], n_seeds: int) -> Iterator[Row]:
    """Yield what each method finds on one data set."""
    for method, each in found.items():
        yield Row(
            f"{name}: {method}", each["auroc"], "AUROC", better="more", details={**each, "seeds": n_seeds}
        )


SUITE = Suite(
    "detection",
    "What `dataval detect` finds with a tenth of the labels flipped and no clean ones: what judges tables, "
    "its networks, and Hessian-free HyDRA by five-fold cross-validation; means of 3 seeds.",
    [Figures(name, partial(find, name), "AUROC") for name in DATASETS],
)
