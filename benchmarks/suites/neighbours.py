"""Methods that train no network: what they cost beside one, and which wrong labels they find.

2,000 Fashion-MNIST images as pixels, 20 % of the labels flipped, 1,000 validation images. KNN-Shapley with ten
neighbours is timed over a plain loop that trains LeNet for five epochs on the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

from sklearn.tree import DecisionTreeClassifier

import dataval as dv
from benchmarks.runner.clock import Action
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Ratio, Suite
from benchmarks.work import lenet_work

METHODS: dict[str, Callable[[], Any]] = {
    "KNN-Shapley": dv.KNNShapley,
    "KNN-Shapley, Gaussian weights": partial(dv.KNNShapley, weights="gaussian"),
    "KNN-Shapley, cosine": partial(dv.KNNShapley, metric="cosine"),
    "TKNN-Shapley": dv.TKNNShapley,
    "LAVA": dv.LAVA,
    "Data-OOB of 200 trees on 28 pixels a split": partial(
        dv.DataOOB, DecisionTreeClassifier(max_features="sqrt")
    ),
}
AUROC = {"KNN-Shapley": 0.96}
AVERAGE_PRECISION = {"KNN-Shapley": 0.88}


def images(settings: Settings, seed: int) -> tuple[Any, ...]:
    """Return images as rows, labels of which some are wrong, which ones, and validation samples."""
    data = dv.datasets.load_fashion_mnist(
        n_train=settings.pick(2000, 100), n_val=settings.pick(1000, 40), seed=seed
    )
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=seed)
    return data.X_train.reshape(len(y), -1), y, is_noisy, data.X_val.reshape(len(data.y_val), -1), data.y_val


def find(name: str, settings: Settings) -> Iterator[Row]:
    found = []
    for seed in range(settings.repeats):
        X, y, is_noisy, X_val, y_val = images(settings, seed)
        values = METHODS[name]().fit(X, y).score(X_val, y_val)
        found.append(dv.evaluation.noise_detection(values, is_noisy, n_bootstrap=0))
    details = {"seeds": len(found)}
    for unit, aim, numbers in (
        ("AUROC", AUROC, [each.auroc.value for each in found]),
        ("average precision", AVERAGE_PRECISION, [each.average_precision.value for each in found]),
    ):
        yield Row(
            f"{name}, {unit}",
            round(median(numbers), 3),
            unit,
            round(min(numbers), 3),
            round(max(numbers), 3),
            better="more",
            aim=aim.get(name),
            details=details,
        )


def scored(name: str, settings: Settings) -> Action:
    X, y, _, X_val, y_val = images(settings, 0)
    return lambda: METHODS[name]().fit(X, y).score(X_val, y_val)


def plain(settings: Settings) -> Action:
    return lenet_work(settings, epochs=5).plain


SUITE = Suite(
    "neighbours",
    "Methods without a network on 2,000 Fashion-MNIST images, 20 % of the labels flipped: the cost of "
    "KNN-Shapley over training LeNet for 5 epochs in a plain loop (pyDVL .61, OpenDataVal .28), and what "
    "they find; median of 5 seeds.",
    [
        Ratio("KNN-Shapley, fit and score", partial(scored, "KNN-Shapley"), plain, aim=0.28),
        Ratio("LAVA, fit and score", partial(scored, "LAVA"), plain, repeats=2),
        *(Figures(f"finding labels: {name}", partial(find, name), "AUROC") for name in METHODS),
    ],
    cpu_only=True,
)
