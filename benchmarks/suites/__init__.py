"""The suites by name; each is a module here, loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module

from benchmarks.runner.suite import Suite

SUITES = (
    "train",
    "hydra",
    "attribute",
    "influence",
    "loo",
    "memory",
    "growth",
    "peers",
    "mnist",
    "scale",
    "tensorflow",
    "fidelity",
    "methods",
    "noise",
    "detection",
    "cleaning",
    "language_model",
    "recording",
    "recording_trainers",
    "store",
    "memory_map",
)


def load(name: str) -> Suite:
    """Return a suite.

    Raises
    ------
    KeyError
        If there is none of this name.
    """
    if name not in SUITES:
        raise KeyError(f"no suite {name!r}: choose from {', '.join(SUITES)}")
    suite: Suite = import_module(f"benchmarks.suites.{name}").SUITE
    return suite
