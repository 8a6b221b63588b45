"""Reading a mapping of options from JSON or YAML that may be broken, or made to do harm."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from dataval.cli.errors import UsageError
from dataval.cli.inputs import decode, read_limited
from dataval.cli.table import first_repeated

__all__ = ["read_mapping"]

_MOST_JSON, _MOST_YAML = 2**22, 2**16  # bytes: PyYAML reads 50 kB a second
_DEEPEST = 20
_YAML_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+$")


def read_mapping(path: Path) -> dict[str, Any]:
    """Return what a file holds: JSON, or YAML where its name ends in ``.yaml`` or ``.yml``.

    Raises
    ------
    UsageError
        If it can't be read, is not one mapping with text as keys, names a key twice, is nested deeper than 20
        levels, refers to itself, or holds a number that is not finite.
    """
    is_yaml = path.suffix.lower() in {".yaml", ".yml"}
    most, advice = (_MOST_YAML, "write it as JSON") if is_yaml else (_MOST_JSON, "this is no configuration")
    text = decode(read_limited(path, most, advice), path)
    try:
        found = _parse_yaml(text) if is_yaml else _parse_json(text)
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply for a configuration") from error
    except ValueError as error:
        raise UsageError(f"{path} is not valid {'YAML' if is_yaml else 'JSON'}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} must hold one mapping of options, not {type(found).__name__}")
    _check(found, path, 0)
    return found


def _check(found: Any, path: Path, depth: int) -> None:
    """Raise for what no field of a configuration could be."""
    if depth > _DEEPEST:
        raise UsageError(f"{path} is nested too deeply for a configuration")
    if isinstance(found, float) and not math.isfinite(found):
        raise UsageError(f"{path} holds {found}: numbers must be finite")
    if isinstance(found, dict):
        if odd := [key for key in found if not isinstance(key, str)]:
            raise UsageError(f"{path} has the key {odd[0]!r}: keys must be text")
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            _check(each, path, depth + 1)


def _parse_json(text: str) -> Any:
    return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once, parse_constant=_refuse)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := first_repeated(key for key, _ in pairs)) is not None:
        raise ValueError(f"the key {twice!r} is there twice")
    return dict(pairs)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number in JSON: numbers must be finite")


def _parse_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise UsageError(
            "a YAML configuration needs PyYAML: pip install 'dataval[yaml]', or use JSON"
        ) from error
    try:
        return yaml.load(text, Loader=_loader(yaml))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _loader(yaml: Any) -> Any:
    """Return a safe loader that refuses aliases, depth and repeated keys, and reads 1e-3 as a number."""

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("aliases (*name) are not read here: write the value out")
            self.depth += 1
            if self.depth > 2 * _DEEPEST:
                raise RecursionError
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            _once([(str(key.value), None) for key, _ in node.value])
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _YAML_FLOAT, list("-+0123456789."))
    return Loader
