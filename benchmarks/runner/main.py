"""The command line: ``python -m benchmarks SUITE ...``."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runner import documents
from benchmarks.runner.compare import compare
from benchmarks.runner.machine import in_words, machine
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Suite
from benchmarks.runner.tables import line
from benchmarks.suites import SUITES, load

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say and return the exit status: 1 if a case failed."""
    parser = make_parser()
    chosen = parser.parse_args(arguments)
    if chosen.compare:
        return _compare(*chosen.compare)
    unknown = [name for name in chosen.suites if name not in SUITES]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}: choose from {', '.join(SUITES)}")
    settings = make_settings(chosen, parser)
    suites = [load(name) for name in chosen.suites or SUITES]
    if chosen.list:
        _list(suites, chosen.only)
        return 0
    if not chosen.suites:
        suites = [suite for suite in suites if suite.by_default]
    if chosen.only and not any(suite.chosen(chosen.only) for suite in suites):
        parser.error(f"no case is called like {' or '.join(chosen.only)}: see --list")
    is_whole = not (chosen.quick or chosen.only)
    folder = chosen.output or (documents.RESULTS if is_whole else documents.PARTIAL)
    failed = [run(suite, settings, chosen.only, folder) for suite in suites if suite.chosen(chosen.only)]
    return int(any(failed))


def run(suite: Suite, settings: Settings, only: Sequence[str], folder: Path) -> int:
    """Measure one suite, print and keep what it found, and return how many cases failed."""
    described = machine(settings)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    print(f"== {suite.name}: {suite.about}\n   {in_words(described)}", flush=True)
    start = time.perf_counter()
    rows = suite.measure(settings, only, lambda row: print(f"   {line(row)}", flush=True))
    found = documents.document(
        suite, settings, described, rows, started=started, seconds=time.perf_counter() - start
    )
    print(f"   {found['minutes']} minutes; {documents.write(found, folder)}", flush=True)
    return sum(row.status == "failed" for row in rows)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what dataval costs and what its values are worth. Ratios are medians of timings "
        "taken in turn in one process.",
        epilog="A suite's results go to benchmarks/results/SUITE.json; those of --quick and --only to "
        "benchmarks/results/partial/.",
    )
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help="what to measure; all quick suites by default"
    )
    parser.add_argument("--list", action="store_true", help="list suites and cases, and measure nothing")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PATTERN", help="cases whose names contain one of these"
    )
    parser.add_argument("--quick", action="store_true", help="little work: shows that everything runs")
    parser.add_argument("--repeats", type=int, help="timings of each case, or seeds (default: 5, quick 1)")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of the numerical libraries (default: 1)"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument(
        "--budget",
        type=float,
        default=40.0,
        help="seconds after which a case takes no more timings (default: 40)",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where results go")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A.json", "B.json"), help="show what changed from A to B"
    )
    return parser


def make_settings(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> Settings:
    """Return the settings, having made them those of the process."""
    for name in ("repeats", "threads"):
        value = getattr(chosen, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    for variable in THREADS:  # before anything loads a numerical library
        os.environ[variable] = str(chosen.threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    repeats = chosen.repeats or (1 if chosen.quick else 5)
    return Settings(chosen.quick, repeats, chosen.threads, chosen.device, chosen.budget)


def _compare(first: Path, second: Path) -> int:
    try:
        print(compare(first, second))
    except ValueError as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


def _list(suites: Sequence[Suite], only: Sequence[str]) -> None:
    for suite in suites:
        when = "" if suite.by_default else " (only when named)"
        print(f"{suite.name}{when}: {suite.about}")
        for case in suite.chosen(only):
            bounds = [f"{kind} {bound}" for kind in ("floor", "aim") if (bound := getattr(case, kind, None))]
            print(f"    {case.name}" + (f"  ({', '.join(bounds)})" if bounds else ""))
