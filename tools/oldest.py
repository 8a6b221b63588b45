"""Print the lowest versions that pyproject.toml names, as constraints for pip.

    python tools/oldest.py torch plots test
    python tools/oldest.py torch plots test --pin torch==2.13.0

pip has no option that prefers the lowest version, and a lower bound that nobody tries is a guess.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)")


def lowest(requirement: str) -> tuple[str, str]:
    """Return the name and the lowest version of a requirement.

    Raises
    ------
    ValueError
        If the requirement is not written as ``name>=version``.
    """
    found = REQUIREMENT.fullmatch(requirement)
    if found is None:
        raise ValueError(f"{requirement!r} names no lowest version: write it as 'name>=version'.")
    return found[1], found[2]


def requirements(project: dict, extras: Iterable[str]) -> list[str]:
    """Return what a project needs at run time and for the extras, as pyproject.toml writes it.

    Raises
    ------
    ValueError
        If an extra is unknown.
    """
    optional = project["optional-dependencies"]
    if unknown := sorted({*extras} - {*optional}):
        raise ValueError(f"no extra is called {', '.join(unknown)}: there are {', '.join(optional)}.")
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


def pin(text: str) -> tuple[str, str]:
    """Return the name and the version of a pin."""
    name, version = text.split("==")
    return name, version


def main() -> None:
    """Print one ``name==version`` a line."""
    parser = argparse.ArgumentParser(description="Print the lowest versions that pyproject.toml names.")
    parser.add_argument("extras", nargs="*", help="extras to include beside the run-time dependencies")
    parser.add_argument(
        "--pin", type=pin, action="append", default=[], metavar="NAME==VERSION", help="take this one"
    )
    arguments = parser.parse_args()
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    try:
        pins = dict(lowest(line) for line in requirements(project, arguments.extras))
    except ValueError as error:
        parser.error(str(error))
    pins |= dict(arguments.pin)
    print("\n".join(f"{name}=={version}" for name, version in pins.items()))


if __name__ == "__main__":
    main()
