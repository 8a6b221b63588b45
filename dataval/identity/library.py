"""What belongs to an installed library, and is known by its name."""

from __future__ import annotations

import sys
import sysconfig
import types
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["full_name", "is_library", "is_named_in_library", "type_name"]

_OWN = {"dataval", "dataval_torch", "dataval_tensorflow"}
_FOLDERS = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")]


def is_library(value: Any) -> bool:
    """Whether a function, class or module is part of an installed library, of Python or of this package."""
    is_module = isinstance(value, types.ModuleType)
    name = value.__name__ if is_module else getattr(value, "__module__", None)
    return isinstance(name, str) and name != "__main__" and _is_library_name(name)


def is_named_in_library(value: Any) -> bool:
    """Whether a library has this very value under the value's own name, so that the name says all."""
    found: Any = sys.modules.get(str(getattr(value, "__module__", None)))
    for part in str(getattr(value, "__qualname__", "")).split("."):
        found = getattr(found, part, None)
    return is_library(value) and found is value


def full_name(value: Any) -> tuple[str, str]:
    """Return the module of a function, class or descriptor, and its name there."""
    owner = getattr(value, "__objclass__", None)
    module = getattr(value, "__module__", None) or getattr(owner, "__module__", "")
    return str(module), str(getattr(value, "__qualname__", value.__name__))


def type_name(value: Any) -> str:
    """Return the full name of a value's class."""
    return ".".join(full_name(type(value)))


@cache
def _is_library_name(name: str) -> bool:
    top = name.partition(".")[0]
    if top in _OWN or top in sys.stdlib_module_names:
        return True
    path = getattr(sys.modules.get(name), "__file__", None)
    return path is not None and any(Path(path).resolve().is_relative_to(folder) for folder in _FOLDERS)
