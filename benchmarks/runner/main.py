"""The command line: ``python -m benchmarks SUITE ...``."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runner import documents
from benchmarks.runner.compare import compare
from benchmarks.runner.machine import in_words, machine
from benchmarks.runner.memory import ROOT, environment
from benchmarks.runner.rows import Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Suite
from benchmarks.runner.tables import line
from benchmarks.suites import LONG, SUITES, load

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say and return the exit status: 1 if a case failed, 2 if nothing could be run."""
    parser = make_parser()
    chosen = parser.parse_args(arguments)
    if chosen.compare:
        return _compare(*chosen.compare)
    if unknown := [name for name in chosen.suites if name not in SUITES]:
        parser.error(f"no suite {', '.join(unknown)}: choose from {', '.join(SUITES)}")
    settings = make_settings(chosen, parser)
    if chosen.list:
        _list(chosen.suites or SUITES, chosen.only)
        return 0
    if problem := device_problem(settings.device):
        print(f"python -m benchmarks: {problem}", file=sys.stderr)
        return 2
    names = chosen.suites or [name for name in SUITES if chosen.all or name not in LONG]
    if len(names) > 1:
        return max([_in_its_process(name, chosen, settings) for name in names])
    suite = load(names[0])
    if chosen.suites and not suite.chosen(chosen.only):
        print(f"{suite.name}: no case is called like {' or '.join(chosen.only)}: see --list", file=sys.stderr)
        return 0
    if settings.device != "cpu" and suite.cpu_only:
        print(f"== {suite.name}: makes no use of {settings.device}, left out", flush=True)
        return 0
    is_whole = not (chosen.quick or chosen.only)
    folder = chosen.output or (documents.folder_of(settings.device) if is_whole else documents.PARTIAL)
    return int(run(suite, settings, chosen.only, folder) > 0)


def _in_its_process(name: str, chosen: argparse.Namespace, settings: Settings) -> int:
    """Run one suite in a process of its own, so that none meets what another has loaded or left behind."""
    options: list[str] = [name, "--quick"] if settings.quick else [name]
    for option in ("repeats", "threads", "device", "budget"):
        options += [f"--{option}", str(getattr(settings, option))]
    if chosen.only:
        options += ["--only", *chosen.only]
    if chosen.output:
        options += ["--output", str(chosen.output)]
    command = [sys.executable, "-m", "benchmarks", *options]
    status = subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
    if status not in (0, 1):
        print(f"== {name}: its process ended with {status}", file=sys.stderr, flush=True)
    return min(abs(status), 1)


def run(suite: Suite, settings: Settings, only: Sequence[str], folder: Path) -> int:
    """Measure one suite, print and keep what it found, and return how many cases failed.

    What is found so far is in the file at any moment.
    """
    described = machine(settings)
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    print(f"== {suite.name}: {suite.about}\n   {in_words(described)}", flush=True)
    start, rows = time.perf_counter(), []

    def tell(row: Row) -> None:
        rows.append(row)
        print(f"   {line(row)}", flush=True)
        seconds = time.perf_counter() - start
        found = documents.document(suite, settings, described, rows, started=started, seconds=seconds)
        documents.write(found, folder)

    suite.measure(settings, only, tell)
    minutes = (time.perf_counter() - start) / 60
    print(f"   {minutes:.1f} minutes; {documents.path_of(suite.name, folder)}", flush=True)
    return suite.failures(rows)


def device_problem(device: str) -> str:
    """Return what is wrong with a device; nothing where it can be used."""
    if device == "cpu":
        return ""
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        return f"there is no device {device!r} here (torch {torch.__version__}: {why}); nothing was measured"
    return ""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what dataval costs and what its values are worth. Ratios are medians of timings "
        "taken in turn in one process.",
        epilog="A suite's results go to benchmarks/results/SUITE.json (of another device to "
        "benchmarks/results/DEVICE/), those of --quick and --only to benchmarks/results/partial/.",
    )
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help="what to measure; all quick suites by default"
    )
    parser.add_argument("--all", action="store_true", help="all suites, also those that take long")
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


def _list(names: Sequence[str], only: Sequence[str]) -> None:
    for suite in map(load, names):
        when = " (only when named, or with --all)" if suite.name in LONG else ""
        print(f"{suite.name}{when}: {suite.about}")
        for case in suite.chosen(only):
            bounds = [f"{kind} {bound}" for kind in ("floor", "aim") if (bound := getattr(case, kind, None))]
            print(f"    {case.name}" + (f"  ({', '.join(bounds)})" if bounds else ""))
