"""The order of the folders: each floor imports only what stands below it, at run time and for typing alike."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dataval"

FLOORS = [
    {"checks", "errors", "options", "process", "progress"},
    {"files", "images", "memory_plan", "pixels"},
    {"data", "datasets", "noise"},
    {"identity"},
    {"metrics"},
    {"labels", "solvers"},
    {"backend"},
    {"zoo"},
    {"training"},
    {"objectives"},
    {"curvature"},
    {"retraining"},
    {"methods"},
    {"detection", "evaluation"},
    {"plotting", "reports"},
    {"cli", "testing"},
]
"""From the ground up. Parts of one floor don't know each other."""

OUTSIDE = {"__init__", "__main__", "_moved"}
"""The door: what leads into the house and may know all of it."""


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the full names of all modules that a file imports, wherever in it and for whatever reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where an arrow leads"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str | None:
    """Return the part of the package that a module's full name stands for."""
    head, _, rest = name.partition(".")
    first = rest.split(".")[0]
    is_part = head == "dataval" and ((PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file())
    return first if is_part and first else None


def arrows() -> Iterator[tuple[str, str, str]]:
    """Yield every file with the part it belongs to and a part that it imports."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in OUTSIDE:
            continue
        for name in imported(ast.parse(path.read_text())):
            target = part_of(name)
            if target is not None and target != parts[0]:
                yield str(path.relative_to(ROOT)), parts[0], target


def against_the_order(found: Iterator[tuple[str, str, str]]) -> list[str]:
    height = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
    return [f"{path}: {part} -> {target}" for path, part, target in found if height[target] >= height[part]]


def test_every_part_has_a_floor():
    files = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    parts = {path.stem for path in files}
    assert parts - OUTSIDE == set().union(*FLOORS)


def test_no_floor_imports_what_stands_above_it():
    assert not against_the_order(arrows())


def test_a_line_that_is_turned_round_is_found():
    assert against_the_order(iter([("dataval/metrics/x.py", "metrics", "training")]))
    assert list(imported(ast.parse("if TYPE_CHECKING:\n    from dataval.training import run"))) == [
        "dataval.training",
        "dataval.training.run",
    ]


def test_no_circle_between_files():
    """Within a floor too, whatever the import is for."""
    files = {
        f"dataval.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}".removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
        if path.stem not in OUTSIDE - {"__init__"} and path.parent != PACKAGE
    }
    edges = {
        name: {target for target in imported(ast.parse(path.read_text())) if target in files}
        for name, path in files.items()
    }
    assert not circles(edges)


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return a path round each circle that a depth-first walk meets."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
        elif name not in done:
            for target in sorted(edges[name]):
                walk(target, [*path, name])
            done.add(name)

    for name in edges:
        walk(name, [])
    return found


@pytest.mark.parametrize(("edges", "expected"), [({"a": {"b"}, "b": set()}, 0), ({"a": {"b"}, "b": {"a"}}, 1)])
def test_circles_are_found(edges, expected):
    assert len(circles(edges)) == expected


@pytest.mark.parametrize("package", ["dataval_torch", "dataval_tensorflow"])
def test_a_backend_knows_the_contract_and_no_method(package):
    """Many models together are a hook into retraining, recorders one into training: they know optimizers."""
    allowed = {"errors", "checks", "process", "data", "backend"}
    for path in (ROOT / "backends" / package).rglob("*.py"):
        more = {"training", "retraining"} if path.parent.name in ("together", "recorder") else set()
        parts = {part_of(name) for name in imported(ast.parse(path.read_text()))} - {None}
        assert parts <= allowed | more, path
