"""How well values predict retraining: softmax regression on Fashion-MNIST, several methods.

500 images with 20 % flipped labels, batch 50, SGD 0.05 with momentum 0.9 and weight decay 5e-4, 10 epochs,
1,000 validation images. Spearman's correlation with leave-one-out of all 500, and the linear datamodeling score
when a random 5 % is removed. Every seed draws its own images, flips, initialisation, batches and subsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from scipy.stats import spearmanr

import dataval as dv
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.work import softmax_regression


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
    return result


def find(settings: Settings) -> Iterator[Row]:
    yield from rows([one_seed(seed, settings.pick(100, 3)) for seed in range(min(settings.repeats, 3))])


def rows(runs: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield the medians of the seeds."""
    for name in runs[0]:
        if name == "seed":
            continue
        for figure, unit in FIGURES.items():
            found = [run[name][figure] for run in runs]
            yield Row(f"{name}, {unit}", round(median(found), 3), unit, min(found), max(found), better="more")


FIGURES = {"linear_datamodeling_score": "LDS", "spearman_to_leave_one_out": "Spearman to leave-one-out"}

SUITE = Suite(
    "methods",
    "How well several methods' values predict retraining: softmax regression on 500 Fashion-MNIST images,"
    " leave-one-out of all of them, and 100 trainings without a random 5 %; median of 3 seeds.",
    [Figures("methods", find, "LDS")],
)
