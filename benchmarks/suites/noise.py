"""What every method finds: 2,000 Fashion-MNIST images, 20 % flipped labels, LeNet, 20 epochs, batch 50.

With the learning rate falling to zero along a cosine, and with a constant one. Where a rate stays large the
last state is one of many that training hops between, and so is the validation gradient there, which the
hypergradients are about; methods that average over epochs don't mind. The cosine was chosen on seeds 10 to 12.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import dataval as dv
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.work import lenet

SCHEDULES = {"cosine": dv.CosineSchedule(), "constant": dv.ConstantSchedule()}


def one_seed(seed: int, schedule: str, n_train: int = 2000, epochs: int = 20) -> dict[str, Any]:
    data = dv.datasets.load_fashion_mnist(n_train=n_train, n_val=500, seed=seed)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=seed)
    optimizer = dv.SGD(learning_rate=0.05, momentum=0.9, weight_decay=5e-4)
    training = dv.Training(
        optimizer=optimizer, epochs=epochs, batch_size=50, schedule=SCHEDULES[schedule], seed=seed
    )
    learner = dv.Learner(lenet, training=training, progress=False)
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
    return result


def find(schedule: str, settings: Settings) -> Iterator[Row]:
    size = settings.pick((2000, 20), (100, 1))
    with warnings.catch_warnings():
        # What they find is measured, not what they predict.
        warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)
        runs = [one_seed(seed, schedule, *size) for seed in range(min(settings.repeats, 3))]
    yield from rows(schedule, runs)


def rows(schedule: str, runs: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield the medians of the seeds."""
    for name in runs[0]:
        if name == "seed":
            continue
        for figure, unit in {"auroc": "AUROC", "average_precision": "average precision"}.items():
            found = [run[name][figure] for run in runs]
            title = f"{schedule} rate: {name}, {unit}"
            yield Row(title, round(median(found), 3), unit, min(found), max(found), better="more")


SUITE = Suite(
    "noise",
    "What every method finds among 2,000 Fashion-MNIST images with 20 % flipped labels, LeNet, 20 epochs,"
    " with a learning rate that falls to zero and with a constant one; median of 3 seeds.",
    [Figures(f"{schedule} rate", partial(find, schedule), "AUROC") for schedule in SCHEDULES],
)
