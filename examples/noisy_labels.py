"""Which labels of a real data set are wrong, and how far can the values be trusted?

Flips 20 % of the training labels of scikit-learn's digits (or of Fashion-MNIST), trains a small CNN, values
every training sample with both variants of HyDRA, and compares what they find with two baselines. Then it
retrains without random samples to see how well the values predicted the outcome. Writes a figure into
``results/``.

    python examples/noisy_labels.py
    python examples/noisy_labels.py --dataset fashion-mnist
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

import dataval as dv
from dataval.plotting import NoiseDetectionDisplay, SampleGalleryDisplay

FLIPPED = 0.2


def digits_cnn() -> nn.Module:
    """Build a CNN for images (1, 8, 8); smooth activations and pooling keep training predictable."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def fashion_cnn() -> nn.Module:
    """Build LeNet-5 for images (1, 28, 28), with smooth activations and pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.GELU(),
        nn.Linear(120, 84),
        nn.GELU(),
        nn.Linear(84, 10),
    )


def load(name: str) -> tuple[dv.datasets.Dataset, Callable[[], nn.Module], dv.Training]:
    """Return a data set with a model and a training configuration for it."""
    if name == "digits":
        data = dv.datasets.load_digits(n_val=500)
        rate, epochs, build = 0.1, 15, digits_cnn
    else:
        data = dv.datasets.load_fashion_mnist(n_train=1000, n_val=1000)
        rate, epochs, build = 0.02, 10, fashion_cnn
    optimizer = dv.SGD(learning_rate=rate, momentum=0.9, weight_decay=5e-4)
    return data, build, dv.Training(optimizer=optimizer, epochs=epochs, batch_size=50)


def timed(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[Any, float]:
    """Call a function and return its result with the seconds it took."""
    start = perf_counter()
    return function(*arguments, **keywords), perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", choices=["digits", "fashion-mnist"], default="digits")
    parser.add_argument("--subsets", type=int, default=40, help="retrainings that verify the values")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the figure")
    arguments = parser.parse_args()

    data, build, training = load(arguments.dataset)
    y, is_noisy = dv.noise.flip_labels(data.y_train, FLIPPED, seed=0)
    learner = dv.Learner(build, loss="cross_entropy", training=training)
    run, training_seconds = timed(learner.train, data.X_train, y)
    print(
        f"{data.name}: {len(y)} training samples, {is_noisy.sum()} labels flipped; "
        f"trained in {training_seconds:.1f} s"
    )

    methods = {
        "HyDRA": dv.HyDRA(learner),
        "HyDRA, exact": dv.HyDRA(learner, hessian=True),
        "mean loss": dv.MeanLoss(learner),
        "random values": dv.RandomValues(learner),
    }
    values = {}
    print(f"\n{'method':14} {'AUROC':>6} {'avg. precision':>15} {'seconds':>8} {'/ training':>11}")
    for name, method in methods.items():
        method.fit(data.X_train, y, run=run)
        values[name], seconds = timed(method.score, data.X_val, data.y_val)
        found = dv.evaluation.noise_detection(values[name], is_noisy, n_bootstrap=0)
        print(
            f"{name:14} {found.auroc.value:6.3f} {found.average_precision.value:15.3f} "
            f"{seconds:8.2f} {seconds / training_seconds:11.2f}"
        )

    print("\nDo the values predict retraining?")
    with tempfile.TemporaryDirectory() as folder:  # both variants are judged by the same retrainings
        for name in ("HyDRA, exact", "HyDRA"):
            result = methods[name].verify(
                data.X_val,
                data.y_val,
                values=values[name],
                n_subsets=arguments.subsets,
                folder=folder,
            )
            print(f"{name:14} {result}")

    path = save_figure(data, y, values, is_noisy, arguments.out)
    print(f"\nThe most suspicious images and the detection curves: {path}")


def save_figure(
    data: dv.datasets.Dataset,
    given: np.ndarray,
    values: dict[str, np.ndarray],
    is_noisy: np.ndarray,
    folder: Path,
) -> Path:
    """Draw the samples of lowest value beside the detection curves."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.6), width_ratios=(1.15, 1), layout="constrained")
    SampleGalleryDisplay.from_values(
        data.X_train,
        values["HyDRA"],
        given,
        data.y_train,
        class_names=data.class_names,
        columns=6,
        n=24,
        ax=left,
    )
    NoiseDetectionDisplay.from_values(values, is_noisy, ax=right)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"noisy_labels_{data.name}.png"
    figure.savefig(path, dpi=160)
    return path


if __name__ == "__main__":
    torch.set_num_threads(min(2, torch.get_num_threads()))
    main()
