"""The three experiments of HyDRA's paper, on Fashion-MNIST with LeNet-5.

1. How far is the Hessian-free approximation from the exact hypergradients, epoch by epoch?
2. Do values agree with leaving samples out and training again?
3. Do they find wrong labels, and does training without the lowest values help on a heavily mislabelled set?

Writes figures and a JSON file with every number into ``results/paper/``.

    python examples/reproduce_paper.py --quick    # a few minutes on two cores
    python examples/reproduce_paper.py            # hours on a CPU

Chen, Li, Yu, Wu & Miao (2021). HyDRA: Hypergradient data relevance analysis for interpreting deep neural
networks. AAAI. https://arxiv.org/abs/2102.02515
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import torch

import dataval as dv
from dataval.evaluation import (
    ApproximationError,
    approximation_error,
    leave_one_out_agreement,
    noise_detection,
    removal_curve,
    retrain_subsets,
)
from dataval.plotting import AgreementDisplay, NoiseDetectionDisplay, RemovalCurveDisplay
from dataval.zoo import named_model


@dataclass(frozen=True)
class Size:
    """How large the experiments are."""

    n_train: int  # experiments 1 and 2
    n_val: int
    epochs: int
    n_left_out: int  # samples that experiment 2 leaves out, one at a time
    n_noisy_train: int  # experiment 3
    noisy_epochs: int
    noise: float
    seeds: int


QUICK = Size(1000, 500, 16, 64, 1000, 40, 0.4, 3)
FULL = Size(10_000, 2_000, 20, 500, 10_000, 40, 0.4, 5)


def make_learner(model: str, epochs: int, rate: float) -> dv.Learner:
    build, backend = named_model(model, (1, 28, 28), 10, initialisation="framework")  # as papers have it
    optimizer = dv.SGD(learning_rate=rate, momentum=0.9, weight_decay=5e-4)
    return dv.Learner(
        build, training=dv.Training(optimizer=optimizer, epochs=epochs, batch_size=50), backend=backend
    )


def both_variants(learner: dv.Learner, X: np.ndarray, y: np.ndarray) -> dict[str, dv.HyDRA]:
    exact = dv.HyDRA(learner, hessian=True).fit(X, y)
    return {"exact": exact, "Hessian-free": dv.HyDRA(learner).fit(X, y, run=exact.run_)}


def approximation(size: Size, out: Path) -> dict[str, Any]:
    """Run the first experiment, on LeNet with smooth layers and as papers use it."""
    data = dv.datasets.load_fashion_mnist(n_train=size.n_train, n_val=size.n_val)
    found: dict[str, ApproximationError] = {}
    for model in ("lenet", "lenet-relu"):
        learner = make_learner(model, size.epochs, rate=0.02)
        variants = both_variants(learner, data.X_train, data.y_train)
        epochs = [1, *range(2, size.epochs + 1, 2)]
        found[model] = approximation_error(*variants.values(), data.X_val, data.y_val, epochs=epochs)
        print(f"\n{model}: Hessian-free against exact values\n{found[model]}", flush=True)
    draw_approximation(found, out / "1_approximation_error.png")
    return {name: report.model_dump() for name, report in found.items()}


def draw_approximation(found: dict[str, ApproximationError], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.6, 2.5), layout="constrained")
    styles = {
        "lenet": ("#0072B2", "-", "GELU, average pooling"),
        "lenet-relu": ("#D55E00", "--", "ReLU, max-pooling"),
    }
    for name, report in found.items():
        colour, dash, label = styles[name]
        left.plot(report.epochs, report.relative_error, color=colour, linestyle=dash, label=label)
        right.plot(report.epochs, report.spearman, color=colour, linestyle=dash, label=label)
    left.set(yscale="log", xlabel="epochs", ylabel="relative error of the values")
    right.set(ylim=(-0.4, 1.05), xlabel="epochs", ylabel="Spearman with exact values")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=7)
        ax.xaxis.label.set_fontsize(8)
        ax.yaxis.label.set_fontsize(8)
    left.legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def agreement(size: Size, out: Path) -> dict[str, Any]:
    """Run the second experiment."""
    data = dv.datasets.load_fashion_mnist(n_train=size.n_train, n_val=size.n_val)
    learner = make_learner("lenet", size.epochs, rate=0.02)
    variants = both_variants(learner, data.X_train, data.y_train)
    chosen = np.random.default_rng(0).choice(size.n_train, size.n_left_out, replace=False)
    truth = retrain_subsets(
        learner,
        data.X_train,
        data.y_train,
        data.X_val,
        data.y_val,
        run=variants["exact"].run_,
        removed=np.eye(size.n_train, dtype=bool)[chosen],
        folder=out / "retrained",
    ).changes
    figure, axes = plt.subplots(1, 2, figsize=(6.6, 2.7), layout="constrained")
    found = {}
    for ax, (name, hydra) in zip(axes, variants.items(), strict=True):
        values = hydra.score(data.X_val, data.y_val)[chosen]
        report = leave_one_out_agreement(values, truth)
        print(f"\n{name}: {report}", flush=True)
        found[name] = report.model_dump()
        AgreementDisplay.from_values(values, truth, ax=ax)
        ax.set_title(f"{name}: {ax.get_title(loc='left')}", fontsize=7, loc="left")
    figure.savefig(out / "2_agreement.png", dpi=160)
    plt.close(figure)
    return found


def cleaning(size: Size, out: Path) -> dict[str, Any]:
    """Run the third experiment."""
    n = size.n_noisy_train
    data = dv.datasets.load_fashion_mnist(n_train=n, n_val=size.n_val + 2000)
    X_val, y_val = data.X_val[: size.n_val], data.y_val[: size.n_val]
    X_test, y_test = data.X_val[size.n_val :], data.y_val[size.n_val :]
    y, is_noisy = dv.noise.flip_labels(data.y_train, size.noise, seed=0)
    learner = make_learner("lenet", size.noisy_epochs, rate=0.05)
    variants = both_variants(learner, data.X_train, y)
    run = variants["exact"].run_
    methods = {f"HyDRA, {name}": hydra for name, hydra in variants.items()}
    methods["mean loss"] = dv.MeanLoss(learner).fit(data.X_train, y, run=run)
    values = {name: method.score(X_val, y_val) for name, method in methods.items()}
    reports = {name: noise_detection(each, is_noisy) for name, each in values.items()}
    curves = {
        name: removal_curve(
            each,
            learner,
            data.X_train,
            y,
            X_test,
            y_test,
            shares=[0.2, 0.4, 0.6],
            seeds=range(size.seeds),
            folder=out / "retrained",
        )
        for name, each in values.items()
    }
    for name, curve in curves.items():
        print(f"\n{name}: AUROC {reports[name].auroc.value:.3f}\n{curve}", flush=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.6, 2.9), layout="constrained")
    NoiseDetectionDisplay.from_values(values, is_noisy, ax=left)
    RemovalCurveDisplay.from_curves(curves, ax=right)
    figure.savefig(out / "3_cleaning.png", dpi=160)
    plt.close(figure)
    detection = {
        name: report.model_dump(exclude={"recall_low", "recall_high"}) for name, report in reports.items()
    }
    return {
        "noise_detection": detection,
        "removal": {name: curve.model_dump() for name, curve in curves.items()},
    }


EXPERIMENTS = {"approximation": approximation, "agreement": agreement, "cleaning": cleaning}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few minutes on two cores")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument(
        "--out", type=Path, default=Path("results/paper"), help="folder for figures and numbers"
    )
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    arguments.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"size": asdict(size)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dv.ChaoticTrainingWarning)  # once an epoch; the figures show it
        for name in arguments.only:
            found[name] = EXPERIMENTS[name](size, arguments.out)
    path = arguments.out / "paper.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nfigures and numbers: {arguments.out}")


if __name__ == "__main__":
    torch.set_num_threads(min(2, torch.get_num_threads()))
    main()
