"""Fixtures shared by all tests. What takes `zoo` runs once on every installed framework."""

from __future__ import annotations

import gc
import resource
import signal
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dataval.backend import registry
from tests.numpy_backend import NumpyBackend
from tests.runs import forget_shared

FRAMEWORKS = [name for name in ("torch", "tensorflow") if find_spec(name) is not None]


signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background is born without it


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Name of a framework."""
    return request.param


@pytest.fixture
def zoo(framework: str) -> ModuleType:
    """The module of models of one framework."""
    return import_module(f"tests.zoo.{framework}_models")


@pytest.fixture
def register(monkeypatch):
    """Register entry points for names, and pretend that modules of these names are imported."""

    def add(name, load, *, installed=True, imported=True, group="dataval.backends"):
        before, find = registry._registered, registry._is_installed
        more = {name: SimpleNamespace(name=name, load=load)}
        monkeypatch.setattr(
            registry, "_registered", lambda asked: before(asked) | (more if asked == group else {})
        )
        monkeypatch.setattr(registry, "_is_installed", lambda n: installed if n == name else find(n))
        if imported and name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, SimpleNamespace())

    return add


@pytest.fixture
def numpy_backend(register) -> type[NumpyBackend]:
    """The backend of NumPy models, registered as a package of one's own would register it."""
    register("numpy", lambda: NumpyBackend)
    return NumpyBackend


@pytest.fixture(autouse=True, scope="module")
def forget_after_each_file() -> Iterator[None]:
    """Free the models, runs and compiled graphs of a file: a process that runs all files stays small."""
    yield
    forget_shared()
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Turn `slow_on_tensorflow` into `slow` where a test runs on TensorFlow, which compiles for seconds."""
    for item in items:
        framework = item.callspec.params.get("framework") if hasattr(item, "callspec") else None
        if framework == "tensorflow" and item.get_closest_marker("slow_on_tensorflow"):
            item.add_marker("slow")


# ---- the peak memory of every process ------------------------------------------------------------

_PEAK = "peak_mebibytes"
_peaks = pytest.StashKey[list[int]]()


def peak_memory() -> int:
    """Return the most memory that this process held so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_PEAK] = peak_memory()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if hasattr(node, "workeroutput") and _PEAK in node.workeroutput:
        node.config.stash.setdefault(_peaks, []).append(node.workeroutput[_PEAK])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    peaks = ", ".join(map(str, [*config.stash.get(_peaks, []), peak_memory()]))
    terminalreporter.write_line(f"peak memory of each process: {peaks} MiB")
