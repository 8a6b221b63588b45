"""The command line's door: what was asked for, and how each kind of failure ends."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataval.cli.arguments import parse_arguments
from dataval.cli.console import hide_closed_output, one_line_warnings, say, write_out
from dataval.cli.errors import UsageError
from dataval.errors import (
    BackendNotFoundError,
    ComparisonInterrupted,
    InvalidDataError,
    InvalidModelError,
    TrainingDivergedError,
)

__all__ = ["main"]

_FAILED, _USAGE, _INTERRUPTED, _CLOSED = 1, 2, 130, 141
_DEBUG = "DATAVAL_DEBUG"
_STANDARD_OUTPUT = {Path("-"), Path("/dev/stdout")}
_SIGNATURE = b"rank,row,label,value"
_PARQUET = {".parquet", ".pq"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: the computation failed (training diverged, a method failed, or an error of the library's own).
    2: what was passed can't be used. 130: interrupted. 141: nobody reads standard output any more. All but 0
    and 141 come with one line on standard error; with ``DATAVAL_DEBUG=1`` in the environment the traceback
    comes before it.
    """
    try:
        with one_line_warnings():
            options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
            return _COMMANDS[options.command](options)
    except BrokenPipeError:
        hide_closed_output()
        return _CLOSED
    except (UsageError, InvalidDataError, InvalidModelError, BackendNotFoundError) as error:
        return _fail(error, _USAGE)
    except TrainingDivergedError as error:
        return _fail(error, _FAILED)
    except MemoryError as error:
        return _fail(f"there is not enough memory: {str(error) or 'pass fewer samples'}", _FAILED)
    except ComparisonInterrupted:
        return _fail(f"interrupted; what was done is in {options.out}", _INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - whatever it is, a user gets one line
        cause = f"{type(error).__name__}: {error}"
        return _fail(f"an error of dataval's own, {cause} ({_DEBUG}=1 shows where: please report it)", _FAILED)


def _fail(message: object, code: int) -> int:
    if os.environ.get(_DEBUG, "0") not in {"", "0"}:
        traceback.print_exc()
    say(message)
    return code


def _compare(options: argparse.Namespace) -> int:
    from dataval.cli.compare import run_compare
    from dataval.cli.config import read_config

    result = run_compare(
        read_config(options.config, _changes(options)), options.out, options.config, html=options.html
    )
    write_out(f"{result}\n")
    say(f"written to {options.out}")
    return _FAILED if any(method.errors for method in result.methods) or result.problems else 0


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the configuration that arguments replace."""
    names = ("dataset", "n_train", "n_val", "model", "backend", "methods", "noise", "noise_kind", "seeds")
    changes = {name: getattr(options, name) for name in (*names, "ground_truth", "fraction", "across_seeds")}
    optimizer = {"learning_rate": options.learning_rate}
    training = {"epochs": options.epochs, "batch_size": options.batch_size, "optimizer": _given(optimizer)}
    return _given({**changes, "training": _given(training)})


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def _detect(options: argparse.Namespace) -> int:
    from dataval.cli.output import check_output, write_atomically
    from dataval.cli.parquet import PARQUET_SIGNATURE, as_parquet, check_parquet
    from dataval.cli.spreadsheet import csv_parts

    out: Path | None = None if options.out in _STANDARD_OUTPUT else options.out
    is_parquet = out is not None and out.suffix.lower() in _PARQUET
    signature = PARQUET_SIGNATURE if is_parquet else _SIGNATURE
    if out is not None:
        check_output(out, [options.data], signature)
        if is_parquet:
            check_parquet(out)
    if options.html is not None:
        from dataval.cli.page import check_page

        check_page(options.html, [options.data, *([] if out is None else [out])])
    from dataval.cli.detect import run_detect  # which takes seconds
    from dataval.cli.samples import Wanted

    columns = {name: tuple(getattr(options, name)) for name in ("drop", "keep", "text")}
    wanted = Wanted(label=options.label, task=options.task, header=options.header, id=options.id, **columns)
    names = ("method", "model", "epochs", "seed", "top", "html")
    ranking = run_detect(options.data, wanted, **{name: getattr(options, name) for name in names})
    if out is None:
        for part in csv_parts(ranking):
            write_out(part)
        return 0
    check_output(out, [options.data], signature)  # again, as training took its time
    if is_parquet:
        write_atomically(out, [as_parquet(ranking.frame())])
    else:
        write_atomically(out, (part.encode("utf-8", "backslashreplace") for part in csv_parts(ranking)))
    say(f"{len(ranking) - 1} rows written to {out}")
    return 0


_COMMANDS = {"compare": _compare, "detect": _detect}
