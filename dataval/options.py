"""The base of all options: frozen values whose mistakes are told in one line."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

__all__ = ["Options", "explain"]

_CLOSE = 0.5
_LONGEST = 60


class Options(BaseModel):
    """Options by keyword, checked when they are made and frozen from then on.

    Whole numbers are whole (no bool, no string, no 2.0) and numbers are no strings.

    Raises
    ------
    ValueError
        If an option is unknown, missing, or can't be what was given: one line that names it.
    TypeError
        If an option comes without its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, *unnamed: Any, **options: Any) -> None:
        if unnamed:
            raise TypeError(f"{type(self).__name__} takes its options by keyword, got {_shortened(unnamed[0])}")
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise ValueError(explain(error, type(self))) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # options inside of others are not made by it

    @model_validator(mode="before")
    @classmethod
    def _refuse_lookalikes(cls, given: Any) -> Any:
        """Refuse what pydantic would turn into a number or a bool although it looks like something else."""
        if isinstance(given, dict):
            for name in given.keys() & cls.model_fields.keys():
                if problem := _lookalike(given[name], cls.model_fields[name].annotation):
                    raise ValueError(f"{name} must be {problem}, got {_shortened(given[name])}")
        return given


def _plain(kind: Any) -> Any:
    """Return a type without what it is restricted to, and without None."""
    kinds = [each for each in get_args(kind) if each is not type(None)]
    if get_origin(kind) is Annotated or (get_origin(kind) in (Union, UnionType) and len(kinds) == 1):
        return _plain(kinds[0])
    return kind


def _lookalike(value: Any, kind: Any) -> str:
    """Return what an option must be although this value could be turned into it, or nothing."""
    kind = _plain(kind)
    if kind is int and isinstance(value, bool | np.bool_ | str | bytes | float | np.floating):
        return "a whole number"
    if kind is float and isinstance(value, bool | np.bool_ | str | bytes):
        return "a number"
    return "True or False" if kind is bool and not isinstance(value, bool | np.bool_) else ""


def explain(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return one line for what pydantic found: the first unknown option, or else the first mistake."""
    found = error.errors(include_url=False)
    unknown = [each for each in found if each["type"] == "extra_forbidden"]
    return _unknown(unknown[0], kind) if unknown else _mistake(found[0], kind)


def _unknown(found: Mapping[str, Any], kind: type[BaseModel]) -> str:
    name, owner = str(found["loc"][-1]), _owner(found, kind)
    known = [field for field in owner.model_fields if field != "name"]
    near = [field for field in known if _initials(field) == name.lower()]
    near += get_close_matches(name.lower(), known, n=1, cutoff=_CLOSE)
    help_ = (
        f"did you mean {near[0]}?" if near else f"choose among {', '.join(known)}" if known else "leave it out"
    )
    return f"{owner.__name__} has no option {name!r}: {help_}"


def _initials(field: str) -> str:
    return "".join(word[0] for word in field.split("_"))


def _owner(found: Mapping[str, Any], kind: type[BaseModel]) -> type[BaseModel]:
    """Return the options that a mistake is in: those asked for, or some inside of them."""
    *path, _ = found["loc"]
    named = [each for each in reversed(_subclasses(Options)) if "name" in each.model_fields]
    tags = {each.model_fields["name"].default: each for each in named}
    return next((tags[step] for step in reversed(path) if step in tags), kind)


def _subclasses(kind: type[Options]) -> list[type[Options]]:
    return [each for child in kind.__subclasses__() for each in (child, *_subclasses(child))]


def _mistake(found: Mapping[str, Any], kind: type[BaseModel]) -> str:
    steps = [str(step) for step in found["loc"] if isinstance(step, int) or step.isidentifier()]
    where = ".".join(steps)
    if found["type"] == "missing":
        return f"{kind.__name__} needs {where}"
    if found["type"] == "value_error":
        return f"{kind.__name__}: {': '.join([*steps, str(found['ctx']['error'])])}"
    if choices := _choices(found, kind):
        return f"{kind.__name__}: {where} must be {choices}, got {_shortened(found['input'])}"
    reason = " ".join(found["msg"].removeprefix("Input ").split()).replace("should be", "must be")
    return f"{kind.__name__}: {where} {reason}, got {_shortened(found['input'])}"


def _choices(found: Mapping[str, Any], kind: type[BaseModel]) -> str:
    """Return what may be given where other options are asked for and there were none, or an unknown name."""
    if found["type"] == "tuple_type":
        return "a sequence"
    if found["type"] not in {"model_attributes_type", "model_type", "union_tag_not_found", "union_tag_invalid"}:
        return ""
    annotation = kind.model_fields[str(found["loc"][0])].annotation
    names = [
        f"{each.__name__}(...)" for each in get_args(annotation) or (annotation,) if each is not type(None)
    ]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shortened(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
