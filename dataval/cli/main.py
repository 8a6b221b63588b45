"""The command line: ``dataval compare`` and ``dataval detect``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dataval
from dataval.cli.compare import run_compare
from dataval.cli.config import read_config
from dataval.cli.detect import run_detect
from dataval.cli.errors import UsageError
from dataval.cli.methods import METHODS
from dataval.errors import BackendNotFoundError, ComparisonInterrupted, InvalidDataError, TrainingDivergedError
from dataval.zoo import MODELS

__all__ = ["main"]

_USAGE, _FAILED, _INTERRUPTED = 2, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: the computation failed (training diverged, or a method failed). 2: what was passed can't be
    used. 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (UsageError, InvalidDataError, BackendNotFoundError) as error:
        return _fail(error, _USAGE)
    except TrainingDivergedError as error:
        return _fail(error, _FAILED)
    except ComparisonInterrupted:
        return _fail(f"interrupted; what was done is in {options.out}", _INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)


def _fail(message: object, code: int) -> int:
    print(f"dataval: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def _compare(options: argparse.Namespace) -> int:
    result = run_compare(read_config(options.config, _changes(options)), options.out)
    print(result)
    print(f"\nwritten to {options.out}", file=sys.stderr)
    return _FAILED if any(method.errors for method in result.methods) or result.problems else 0


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the configuration that arguments replace."""
    names = ("dataset", "n_train", "n_val", "model", "backend", "methods", "noise", "noise_kind", "seeds")
    changes = {name: getattr(options, name) for name in (*names, "ground_truth", "fraction")}
    optimizer = {"learning_rate": options.learning_rate}
    training = {"epochs": options.epochs, "batch_size": options.batch_size, "optimizer": _given(optimizer)}
    return _given({**changes, "training": _given(training)})


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def _detect(options: argparse.Namespace) -> int:
    settings = {name: getattr(options, name) for name in ("label", "method", "model", "epochs", "seed", "top")}
    if options.out is None:
        run_detect(options.data, sys.stdout, **settings)
        return 0
    scratch = options.out.with_name(f".{options.out.name}.tmp")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as stream:
            n = run_detect(options.data, stream, **settings)
        scratch.replace(options.out)
    except OSError as error:
        raise UsageError(f"can't write {options.out}: {error}") from error
    finally:
        scratch.unlink(missing_ok=True)
    print(f"{n} rows written to {options.out}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dataval", description="What is each training sample worth?")
    parser.add_argument("--version", action="version", version=f"dataval {dataval.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_compare(commands)
    _add_detect(commands)
    return parser


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare valuation methods on a data set with known label noise",
        description="Flip labels, train, value the samples by each method, and write the table, the values, "
        "the figures and the exact configuration. Arguments replace what --config says.",
        epilog=f"methods: {', '.join(METHODS)}. With loo among them, the others are held against it.",
    )
    add = parser.add_argument
    add("--config", type=Path, help="a config.json that an earlier comparison wrote (or YAML)")
    add("--out", type=Path, default=Path("results"), help="folder for the results (default: results)")
    add("--dataset", help="digits, breast-cancer, wine or fashion-mnist (default)")
    add("--model", help=f"{', '.join(MODELS)} (default: lenet)")
    add("--backend", help="torch or tensorflow (default: the first that is installed)")
    add("--methods", type=_names, help="names, separated by commas (default: hydra,mean-loss,random)")
    add("--noise", type=float, help="share of the training labels to flip (default: 0.2)")
    add("--noise-kind", help="symmetric (default) or pair")
    add("--seeds", type=_numbers, help="training seeds, separated by commas (default: 0)")
    add("--n-train", type=int, help="training samples (default: 1000 of Fashion-MNIST, else all)")
    add("--n-val", type=int, help="validation samples")
    add("--ground-truth", type=int, metavar="K", help="retrain without K random subsets and report the LDS")
    add("--fraction", type=float, help="share of the samples that each subset removes (default: 0.01)")
    add("--epochs", type=int, help="default: 20")
    add("--batch-size", type=int, help="default: 50")
    add("--learning-rate", type=float, help="default: 0.02 (SGD with momentum 0.9)")
    parser.set_defaults(command=_compare)


def _add_detect(commands: Any) -> None:
    parser = commands.add_parser(
        "detect",
        help="rank the rows of a file by how wrong their labels look",
        description="Train a small model on a file and write its rows as CSV, the most suspicious first.",
    )
    add = parser.add_argument
    add("data", type=Path, help="a .npz with arrays X and y, a .csv with a header, or a .parquet")
    add("--label", help="column (or array) that holds the labels (default: y)")
    add("--out", type=Path, help="where to write the CSV (default: standard output)")
    add("--method", choices=["mean-loss", "held-out-loss"], default="mean-loss", help="default: mean-loss")
    add("--model", choices=list(MODELS), help="default: cnn for images, mlp for tables")
    add("--epochs", type=_positive, default=20, help="default: 20")
    add("--seed", type=int, default=0, help="default: 0")
    add("--top", type=_positive, help="write so many rows only")
    parser.set_defaults(command=_detect)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number
