"""What pydantic found wrong with a configuration, in words for people who have never heard of pydantic."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from dataval.cli.console import one_line

__all__ = ["explain"]

_LONGEST = 60

_MESSAGES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "union_tag_invalid": "the name must be one of {expected_tags}",
    "union_tag_not_found": "a name is missing, such as name: sgd or name: constant",
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be finite",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "too_short": "must have at least {min_length} entries",
    "model_type": "must be a mapping of options",
    "model_attributes_type": "must be a mapping of options",
    "dict_type": "must be a mapping of options",
    "json_invalid": "holds text that is no valid Unicode",
}
_WITHOUT_INPUT = {
    "missing",
    "extra_forbidden",
    "value_error",
    "json_invalid",
    "union_tag_not_found",
    "too_short",
}


def explain(error: ValidationError) -> str:
    """Return the first mistake as ``field.field: what is wrong (got this)``."""
    first = error.errors(include_url=False)[0]
    kind = first["type"]
    where = ".".join(str(part) for part in first["loc"])
    text = _message(kind, first["msg"], first.get("ctx", {}))
    got = "" if kind in _WITHOUT_INPUT else f" (got {_shown(first['input'])})"
    return f"{where}: {text}{got}" if where else f"{text}{got}"


def _message(kind: str, original: str, context: dict[str, Any]) -> str:
    if kind in _MESSAGES:
        return _MESSAGES[kind].format(**{name: _plain(bound) for name, bound in context.items()})
    return original.removeprefix("Value error, ")


def _plain(bound: Any) -> Any:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _shown(found: Any) -> str:
    text = one_line(repr(found))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
