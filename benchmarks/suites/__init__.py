"""The suites by name; each is a module here, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from importlib import import_module

from benchmarks.runner.rows import AbsentError, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite

LONG = {
    *("peers", "mnist", "mnist_mlp", "scale", "fidelity", "noise", "cleaning", "labels", "language_model"),
    "smoothness",
}
"""What takes long, or installs something: it runs when it is named, or with ``--all``."""

OURS = {"benchmarks", "dataval", "dataval_torch", "dataval_tensorflow"}

SUITES = (
    "train",
    "hydra",
    "attribute",
    "influence",
    "loo",
    "memory",
    "growth",
    "agreement",
    "peers",
    "mnist",
    "mnist_mlp",
    "scale",
    "tensorflow",
    "fidelity",
    "smoothness",
    "methods",
    "noise",
    "neighbours",
    "detection",
    "cleaning",
    "labels",
    "language_model",
    "recording",
    "recording_trainers",
    "store",
    "memory_map",
    "report",
)


def load(name: str) -> Suite:
    """Return a suite.

    A suite whose packages are not installed has one case, which says so.

    Raises
    ------
    KeyError
        If there is none of this name.
    """
    if name not in SUITES:
        raise KeyError(f"no suite {name!r}: choose from {', '.join(SUITES)}")
    try:
        suite: Suite = import_module(f"benchmarks.suites.{name}").SUITE
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in OURS:
            raise
        return Suite(name, f"needs {error.name}", [Figures(name, partial(_lacking, str(error.name)))])
    return suite


def _lacking(package: str, _: Settings) -> Iterable[Row]:
    raise AbsentError(f"{package} is not installed")
