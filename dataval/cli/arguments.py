"""The arguments of the command line. Nothing heavy is imported, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from dataval.cli.choices import DATASETS, DETECT_METHODS, METHODS, MODELS, MOST_EPOCHS, MOST_SEED, TASKS
from dataval.cli.console import write_out
from dataval.cli.errors import UsageError
from dataval.cli.numbers import is_number

__all__ = ["parse_arguments"]

_MOST_DIGITS = 18
_EXITS = "exit codes: 0 done, 1 the computation failed, 2 something passed can't be used, 130 interrupted"


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what was asked for; its ``command`` is the name of the command.

    Raises
    ------
    UsageError
        If it makes no sense.
    SystemExit
        After ``--help`` and ``--version``.
    """
    parser = _Parser(prog="dataval", description="What is each training sample worth?", epilog=_EXITS)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    _add_compare(commands)
    _add_detect(commands)
    given = list(arguments)
    return parser.parse_args(given[1:] if given[:1] == ["--"] else given)


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line, and whose help may be cut short by the reader."""

    def error(self, message: str) -> Any:
        raise UsageError(f"{message} (see {self.prog} --help)")

    def print_help(self, file: IO[str] | None = None) -> None:  # type: ignore[override]
        write_out(self.format_help())


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import dataval

        write_out(f"dataval {dataval.__version__}\n")
        parser.exit()


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare valuation methods on a data set with known label noise",
        description="Flip labels, train, value the samples by each method, and write the table, the values, "
        "the figures and the exact configuration. Arguments replace what --config says.",
        epilog=f"methods: {', '.join(METHODS)}. With loo among them, the others are held against it. {_EXITS}",
    )
    add = parser.add_argument
    add("--config", type=_path, metavar="FILE", help="a config.json that an earlier comparison wrote (or YAML)")
    add(
        "--out",
        type=_path,
        default=Path("results"),
        metavar="FOLDER",
        help="folder for the results (default: results); files in it that no comparison wrote are left alone",
    )
    add("--html", action="store_true", help="write report.html too: the samples, to look at and to decide on")
    add("--dataset", help=f"{_listed(DATASETS)} (default: fashion-mnist)")
    add("--model", help=f"{_listed(MODELS)} (default: lenet)")
    add("--backend", help="torch or tensorflow (default: the first that is installed)")
    add("--methods", type=_names, help="names, separated by commas (default: hydra,mean-loss,random)")
    add("--noise", type=_number, help="share of the training labels to flip (default: 0.2)")
    add("--noise-kind", help="symmetric (default) or pair")
    add("--seeds", type=_seeds, help="training seeds, separated by commas (default: 0)")
    add("--n-train", type=_whole(1), help="training samples (default: 1000 of Fashion-MNIST, else all)")
    add("--n-val", type=_whole(1), help="validation samples (default: 1000 of Fashion-MNIST, else a part)")
    add("--ground-truth", type=_whole(3), metavar="K", help="retrain without K random subsets; report the LDS")
    add("--fraction", type=_number, help="share of the samples that each subset removes (default: 0.01)")
    add(
        "--across-seeds",
        action=argparse.BooleanOptionalAction,
        help="with --ground-truth and several seeds: judge the values of each seed by the others as well",
    )
    add("--epochs", type=_whole(1, MOST_EPOCHS), help="passes over the samples (default: 20)")
    add("--batch-size", type=_whole(1), help="samples in each update (default: 50)")
    add("--learning-rate", type=_number, help="default: 0.02 (SGD with momentum 0.9)")


def _add_detect(commands: Any) -> None:
    parser = commands.add_parser(
        "detect",
        help="rank the rows of a file by how wrong their labels look",
        description="Read a table, arrays, images or texts, say what they were taken for, and write the rows, "
        "the most suspicious first, each with the probability that its label is wrong, and the label that "
        "models suggest which have not seen it.",
        epilog=_EXITS,
    )
    add = parser.add_argument
    add(
        "data",
        type=_path,
        help="a table: .csv, .tsv, .txt, .jsonl (also .gz, .zip, .zst, .bz2, .xz), .parquet, .feather, .xlsx; "
        ".npz with arrays X and y; a folder with a folder of images for each class, or saved by Hugging Face's "
        "save_to_disk; a table with a column of paths to images",
    )
    add("--label", help="column (or array) that holds the labels (default: y); its number without a header")
    add("--out", type=_path, metavar="FILE", help=".csv or .parquet (default: -, CSV to standard output)")
    add("--html", type=_path, metavar="FILE", help="write a report too: the rows, to look at and to decide on")
    add("--task", choices=TASKS, help="what the labels are (default: what they look like)")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row names the columns (default: what it looks like)",
    )
    names: dict[str, Any] = {"action": "append", "default": [], "metavar": "NAMES"}
    add("--drop", **names, help="columns not to learn from, separated by commas; may be given again")
    add("--keep", **names, help="columns to learn from though they look like ids or names")
    add("--text", **names, help="columns to read as text, by their words")
    add("--id", metavar="NAME", help="the column that names the rows: not learnt from, written first")
    add("--model", choices=MODELS, help="judge by this network (default: cnn for images; none for tables)")
    add("--method", choices=DETECT_METHODS, help="judge by a network's values (default: mean-loss)")
    epochs = "judge by a network: passes over the samples (default: 20)"
    add("--epochs", type=_whole(1, MOST_EPOCHS), help=epochs)
    add("--seed", type=_whole(0, MOST_SEED), default=0, help="draws folds and models (default: 0)")
    add("--top", type=_whole(1), metavar="N", help="write the N most suspicious rows only")


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a path (got {text!r})")
    return Path(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _number(text: str) -> float:
    if not is_number(text.strip()):
        raise argparse.ArgumentTypeError(f"must be a number (got {text!r})")
    return float(text)


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number within bounds."""

    def read(text: str) -> int:
        digits = text.strip().removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            raise argparse.ArgumentTypeError(f"must be a whole number (got {text!r})")
        number = int(text[: _MOST_DIGITS + 1]) if len(text) > _MOST_DIGITS else int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least} (got {text})")
        if len(digits) > _MOST_DIGITS or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"must be at most {most or 10**_MOST_DIGITS} (got {text})")
        return number

    return read


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(_whole(0, MOST_SEED)(seed) for seed in text.split(","))
