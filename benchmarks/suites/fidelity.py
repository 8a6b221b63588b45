"""How well HyDRA's values predict retraining: the linear datamodeling score on Fashion-MNIST.

1,000 images with 20 % flipped labels, batch 50, momentum 0.9, weight decay 5e-4, 10 epochs; a random 1 % is
removed 40 times and the model trained again. LeNet with GELU and average pooling at learning rate 0.02, and
softmax regression at 0.005, both on standardised pixels and on raw ones in [0, 1] (where the LeNet
spends most of the run on its initial plateau and the moment at which it leaves it decides everything). Every
seed draws its own images, flips, initialisation, batches and subsets. Both variants are judged by the same
retrainings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import dataval as dv
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from benchmarks.work import smooth_lenet, softmax_regression

SETTINGS = {"lenet": (smooth_lenet, 0.02), "softmax_regression": (softmax_regression, 0.005)}


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
    return result


def find(name: str, raw: bool, settings: Settings) -> Iterator[Row]:
    n_subsets = settings.pick(40, 3)
    runs = [one_seed(name, seed, n_subsets, 0.01, raw) for seed in range(settings.repeats)]
    yield from rows(name, raw, runs)


def rows(name: str, raw: bool, runs: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield the median of the seeds for both variants."""
    for variant in ("exact", "hessian_free"):
        scores = [run[variant]["score"] for run in runs]
        yield Row(
            f"{name}, {'raw' if raw else 'standardised'} pixels, {variant}",
            round(median(scores), 3),
            "LDS",
            min(scores),
            max(scores),
            better="more",
            details={"seeds": [run[variant] for run in runs]},
        )


SUITE = Suite(
    "fidelity",
    "How well HyDRA's values predict training without a random 1 %: the linear datamodeling score over 40"
    " subsets, median of the seeds; 1,000 Fashion-MNIST images with 20 % flipped labels, 10 epochs.",
    [
        Figures(f"{name}, {'raw' if raw else 'standardised'} pixels", partial(find, name, raw), "LDS")
        for raw in (False, True)
        for name in SETTINGS
    ],
)
