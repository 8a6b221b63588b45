"""What a piece of bytecode does, and what it reads from outside."""

from __future__ import annotations

import dis
import sys
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["constants", "operations", "referenced"]

_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_BETWEEN = {"PUSH_NULL", "CACHE", "EXTENDED_ARG"}
_HAS_DOCSTRING = 0x4000000  # inspect.CO_HAS_DOCSTRING, from Python 3.13 on


def operations(code: types.CodeType) -> tuple[str, ...]:
    """Return what code does, apart from constants.

    Where it stands and what its local variables are called does not matter.
    """
    arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    flags = code.co_flags & ~_HAS_DOCSTRING
    return code.co_code.hex(), repr(code.co_names), code.co_exceptiontable.hex(), repr((*arguments, flags))


def constants(code: types.CodeType) -> tuple[Any, ...]:
    """Return code's constants, with a docstring as None."""
    found = code.co_consts
    if sys.version_info >= (3, 13):
        has_docstring = bool(code.co_flags & _HAS_DOCSTRING)
    else:  # a function's first constant is its docstring or None
        has_docstring = bool(found) and isinstance(found[0], str) and not code.co_name.startswith("<")
    return (None, *found[1:]) if has_docstring else found


def referenced(code: types.CodeType, scope: dict[str, Any]) -> dict[str, Any]:
    """Return what code reads from outside, by dotted names: globals, attributes of modules, imports."""
    found: dict[str, Any] = {}
    for name, path in _chains(code):
        if name in scope:
            found |= _follow(name, scope[name], path)
        elif name in sys.modules:
            found |= _follow(name, sys.modules[name], path)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= referenced(constant, scope)
    return found


def _chains(code: types.CodeType) -> Iterator[tuple[str, list[str]]]:
    """Yield every name that code loads or imports, with the attributes that are read of it at once."""
    name, path = "", []
    for instruction in dis.get_instructions(code):
        if instruction.opname in _BETWEEN:
            continue
        if instruction.opname in _ATTRIBUTES and name:
            path.append(str(instruction.argval))
            continue
        if name:
            yield name, path
        name, path = (str(instruction.argval) if instruction.opname in _LOADS else ""), []


def _follow(name: str, value: Any, path: list[str]) -> dict[str, Any]:
    """Go from a module to what is read of it."""
    for step in path:
        if not isinstance(value, types.ModuleType) or not hasattr(value, step):
            break
        name, value = f"{name}.{step}", getattr(value, step)
    return {name: value}
