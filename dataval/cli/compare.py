"""``dataval compare``: a table and figures of several methods on a data set with known noise."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dataval import datasets, noise
from dataval.cli.config import CompareConfig, write_config
from dataval.cli.errors import UsageError
from dataval.cli.methods import make_methods
from dataval.datasets import Dataset
from dataval.errors import ComparisonInterrupted
from dataval.evaluation import Comparison, compare
from dataval.evaluation.comparison import check_folder
from dataval.training.learner import Learner
from dataval.zoo import named_model

__all__ = ["run_compare"]

_LOADERS = {
    "digits": datasets.load_digits,
    "breast-cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "fashion-mnist": datasets.load_fashion_mnist,
}
_FLIPS = {"symmetric": noise.flip_labels, "pair": noise.pair_flips}
_FASHION_SAMPLES = 1000


def run_compare(config: CompareConfig, out: Path) -> Comparison:
    """Carry a comparison out and write ``config.json``, the table, the values and the figures into `out`.

    Raises
    ------
    UsageError
        If the configuration can't be carried out.
    ComparisonInterrupted
        On Ctrl-C, after what was done has been written.
    """
    try:
        check_folder(out)
    except FileExistsError as error:
        raise UsageError(str(error)) from error
    data = _load(config)
    y, is_noisy = _FLIPS[config.noise_kind](data.y_train, config.noise, seed=config.seeds[0])
    try:
        build, backend = named_model(
            config.model, data.X_train.shape[1:], data.n_classes, backend=config.backend
        )
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    learner = Learner(build, training=config.training, backend=backend)
    methods = make_methods(config.methods, learner)
    learner.prepare(data.X_train, y)  # so that what doesn't fit is named before anything is written
    out.mkdir(parents=True, exist_ok=True)
    write_config(config, out)
    truth = config.ground_truth or ("loo" if "loo" in methods and len(methods) > 1 else None)
    try:
        result = compare(
            methods,
            data.X_train,
            y,
            data.X_val,
            data.y_val,
            is_noisy=is_noisy if is_noisy.any() else None,
            ground_truth=truth,
            seeds=config.seeds,
            fraction=config.fraction,
            folder=out / "retrained",
        )
    except ComparisonInterrupted as interrupted:
        _write(interrupted.comparison, out)
        raise
    _write(result, out)
    _draw(result, data, y, is_noisy, out)
    return result


def _load(config: CompareConfig) -> Dataset:
    asked = {"n_train": config.n_train, "n_val": config.n_val}
    options = {name: number for name, number in asked.items() if number is not None}
    if config.dataset == "fashion-mnist":
        options = dict.fromkeys(asked, _FASHION_SAMPLES) | options
    try:
        return _LOADERS[config.dataset](seed=config.seeds[0], **options)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


def _write(result: Comparison, out: Path) -> None:
    result.save(out)
    (out / "table.txt").write_text(f"{result}\n", encoding="utf-8")
    if importlib.util.find_spec("pandas") is not None:
        result.table().to_csv(out / "table.csv")


def _draw(result: Comparison, data: Dataset, y: Any, is_noisy: Any, out: Path) -> None:
    """Draw the figures that apply; of the first seed, where a figure shows one."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("agg")
    for name, display in _displays(result, data, y, is_noisy):
        display.figure_.savefig(out / f"{name}.png", dpi=300)
        plt.close(display.figure_)


def _displays(result: Comparison, data: Dataset, y: Any, is_noisy: Any) -> Iterator[tuple[str, Any]]:
    from dataval import plotting

    valued = {name: rows[0] for name, rows in result.values.items() if np.isfinite(rows[0]).all()}
    if result.metrics():
        yield "comparison", plotting.ComparisonDisplay.from_comparison(result)
    if valued and is_noisy.any():
        yield "noise_detection", plotting.NoiseDetectionDisplay.from_values(valued, is_noisy)
    if "loo" in valued:
        for name in valued.keys() - {"loo"}:
            yield f"agreement_{name}", plotting.AgreementDisplay.from_values(valued[name], valued["loo"])
    if data.X_train.ndim == 4 and valued:
        name = next(iter(valued))
        yield (
            f"lowest_{name}",
            plotting.SampleGalleryDisplay.from_values(
                data.X_train, valued[name], y, data.y_train, class_names=data.class_names
            ),
        )
