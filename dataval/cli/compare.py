"""``dataval compare``: a table and figures of several methods on a data set with known noise."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dataval import datasets, noise
from dataval.cli.config import CompareConfig
from dataval.cli.console import say
from dataval.cli.errors import UsageError
from dataval.cli.figures import Noisy, draw, figure_names, has_matplotlib
from dataval.cli.methods import make_methods
from dataval.cli.page import comparison_page
from dataval.cli.results import Results
from dataval.cli.spreadsheet import as_csv
from dataval.errors import ComparisonInterrupted
from dataval.evaluation import Comparison, compare
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
_PAGE = "report.html"
_FILES = ("config.json", "comparison.json", "values.npz", "table.txt", "table.csv")


def run_compare(
    config: CompareConfig, out: Path, source: Path | None = None, *, html: bool = False
) -> Comparison:
    """Carry a comparison out and write the configuration, the table, the values and the figures into `out`.

    Parameters
    ----------
    config : CompareConfig
        What is compared, and how.
    out : Path
        A folder. Files in it that an earlier comparison wrote are replaced or removed, others left alone.
    source : Path, optional
        Where the configuration was read from, which is never written to.
    html : bool, default False
        Write the samples too, as a page to decide on.

    Raises
    ------
    UsageError
        If the configuration can't be carried out, or a file that would be replaced is not one of ours.
    ComparisonInterrupted
        On Ctrl-C, after what was done has been written.
    """
    results = Results(out)
    names = [*_FILES, *figure_names(config.methods), *([_PAGE] if html else [])]
    results.check(names, [] if source is None else [source])
    samples = _load(config)
    methods = _prepare(config, samples)
    folder = results.claim_retrained() if config.ground_truth else None
    try:
        result = _compared(config, methods, samples, folder)
    except ComparisonInterrupted as interrupted:
        results.replace(_files(config, interrupted.comparison))
        raise
    except (ValueError, TypeError) as error:  # of its checks: what a method raises is in its row
        raise UsageError(str(error)) from error
    files = _files(config, result)
    results.replace(files)  # before the figures, so that one that can't be drawn takes nothing away
    drawn = draw(result, samples)
    if html and not all(method.errors for method in result.methods):
        drawn[_PAGE] = comparison_page(result, samples, config.dataset).html.encode()
    results.replace({**files, **drawn})
    if not has_matplotlib():
        say("note: there are no figures without matplotlib: pip install 'dataval[plots]'")
    return result


def _compared(
    config: CompareConfig, methods: dict[str, Any], samples: Noisy, folder: Path | None
) -> Comparison:
    data = samples.data
    return compare(
        methods,
        data.X_train,
        samples.y,
        data.X_val,
        data.y_val,
        is_noisy=samples.is_noisy if samples.is_noisy.any() else None,
        ground_truth=config.ground_truth or ("loo" if "loo" in methods and len(methods) > 1 else None),
        seeds=config.seeds,
        fraction=config.fraction,
        across_seeds=config.across_seeds,
        folder=folder,
    )


def _load(config: CompareConfig) -> Noisy:
    asked = {"n_train": config.n_train, "n_val": config.n_val}
    options = {name: number for name, number in asked.items() if number is not None}
    if config.dataset == "fashion-mnist":
        options = dict.fromkeys(asked, _FASHION_SAMPLES) | options
    try:
        data = _LOADERS[config.dataset](seed=config.seeds[0], **options)
        return Noisy(data, *_FLIPS[config.noise_kind](data.y_train, config.noise, seed=config.seeds[0]))
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


def _prepare(config: CompareConfig, samples: Noisy) -> dict[str, Any]:
    """Return the methods, having checked that model, training and data fit each other."""
    data = samples.data
    if config.ground_truth and not 0 < round(config.fraction * len(samples.y)) < len(samples.y):
        raise UsageError(
            f"--fraction {config.fraction:g} of {len(samples.y)} samples removes none or all of them: choose "
            "one that removes some"
        )
    try:
        build, backend = named_model(
            config.model, data.X_train.shape[1:], data.n_classes, backend=config.backend
        )
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    learner = Learner(build, training=config.training, backend=backend)
    methods = make_methods(config.methods, learner)
    try:
        learner.prepare(data.X_train, samples.y)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return methods


def _files(config: CompareConfig, result: Comparison) -> dict[str, bytes]:
    """Return the contents of all files but the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        result.save(scratch)
        saved = {path.name: path.read_bytes() for path in Path(scratch).iterdir()}
    rows = result.rows()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [["" if row.get(name) is None else row[name] for name in columns] for row in rows]
    return {
        "config.json": f"{config.model_dump_json(indent=2)}\n".encode(),
        **saved,
        "table.txt": f"{result}\n".encode(),
        "table.csv": as_csv([columns, *cells]).encode(),
    }
