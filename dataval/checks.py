"""Checks of arguments: each returns what was asked for, or names the argument, what was given, what to pass."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Mapping, Sequence, Sized
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

__all__ = [
    "described",
    "flag",
    "folder_path",
    "one_of",
    "process_count",
    "real_number",
    "seed_list",
    "share",
    "some_folder",
    "some_path",
    "whole_number",
    "whole_numbers",
]

Choice = TypeVar("Choice")

_LONGEST = 60  # letters of what was given that a message quotes
_LARGEST_SEED = 2**63 - 1


def whole_number(name: str, value: Any, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return a whole number.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value
        What was given: an `int` or an integer of NumPy; no bool, float or string, even where it is whole.
    minimum, maximum : int, optional
        The range, both ends included.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is out of range.
    """
    try:
        if isinstance(value, bool | np.bool_) or np.ndim(value):
            raise TypeError
        number = operator.index(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a whole number{_range(minimum, maximum)}, got {described(value)}"
        ) from None
    _check_range(name, number, "a whole number", minimum, maximum)
    return number


def real_number(name: str, value: Any, *, minimum: float | None = None, maximum: float | None = None) -> float:
    """Return a finite number.

    Raises
    ------
    TypeError
        If it is no number: a bool, a string, an array.
    ValueError
        If it is NaN, infinite or out of range (both ends included).
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number{_range(minimum, maximum)}, got {described(value)}")
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{name} must be a finite number{_range(minimum, maximum)}, got {number}")
    _check_range(name, number, "a number", minimum, maximum)
    return number


def share(name: str, value: Any) -> float:
    """Return a number between 0 and 1, both ends left out.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is not between 0 and 1.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number between 0 and 1, got {described(value)}")
    if not 0.0 < float(value) < 1.0:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return a bool.

    Raises
    ------
    TypeError
        If it is none: 0, 1, None, a string.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {described(value)}")
    return bool(value)


def one_of(name: str, value: Any, choices: Collection[Choice]) -> Choice:
    """Return one of some choices.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    listed = [repr(choice) for choice in choices]
    text = f"{', '.join(listed[:-1])} or {listed[-1]}" if len(listed) > 1 else listed[0]
    raise ValueError(f"{name} must be {text}, got {described(value)}")


def whole_numbers(
    name: str, values: Any, *, minimum: int | None = None, maximum: int | None = None
) -> tuple[int, ...]:
    """Return several whole numbers, at least one: of a list, a tuple, a range or an array of one axis.

    Raises
    ------
    TypeError
        If they are a single number, a string, a mapping, or not all whole.
    ValueError
        If there are none, or one is out of range.
    """
    if not _is_sequence(values):
        raise TypeError(
            f"{name} must be a sequence of whole numbers{_range(minimum, maximum)}, got {described(values)}"
        )
    numbers = tuple(
        whole_number(f"{name}[{i}]", value, minimum=minimum, maximum=maximum) for i, value in enumerate(values)
    )
    if not numbers:
        raise ValueError(f"{name} must be at least one whole number{_range(minimum, maximum)}: it is empty")
    return numbers


def seed_list(seeds: Any, name: str = "seeds") -> tuple[int, ...]:
    """Return different seeds, from 0.

    One number is refused, as it could mean one seed or so many.

    Raises
    ------
    TypeError
        If they are no sequence of whole numbers.
    ValueError
        If there are none, one is negative or too large, or one comes twice.
    """
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        raise TypeError(
            f"{name} must be a sequence of whole numbers from 0, got {seeds}: pass [{seeds}] for this one "
            f"seed, range({seeds}) for as many"
        )
    numbers = whole_numbers(name, seeds, minimum=0, maximum=_LARGEST_SEED)
    if len({*numbers}) < len(numbers):
        raise ValueError(f"{name} must be different whole numbers from 0, got {described(seeds)}")
    return numbers


def process_count(name: str, value: Any) -> int | None:
    """Return a number of processes for joblib: from 1, or negative to count from the number of cores.

    None leaves it to `joblib.parallel_config`, and is 1 where that says nothing.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is 0.
    """
    if value is None:
        return None
    number = whole_number(name, value)
    if number == 0:
        raise ValueError(f"{name} must be a number of processes, or -1 for as many as there are cores, got 0")
    return number


@overload
def folder_path(name: str, value: None) -> None: ...
@overload
def folder_path(name: str, value: str | PathLike[str]) -> Path: ...
def folder_path(name: str, value: Any) -> Path | None:
    """Return a path, or None.

    Raises
    ------
    TypeError
        If it is neither a string nor a path.
    FileExistsError
        If something else has that name.
    """
    return None if value is None else some_folder(name, value)


def some_folder(name: str, value: str | PathLike[str]) -> Path:
    """Return the path of a folder, which need not be there yet.

    Raises
    ------
    TypeError
        If it is neither a string nor a path.
    ValueError
        If no file system has such a name.
    FileExistsError
        If something else has that name.
    """
    path = some_path(name, value, "a folder")
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{name} must be the path of a folder: {path} is no folder, choose another one")
    return path


def some_path(name: str, value: str | PathLike[str], what: str = "a file") -> Path:
    """Return a path.

    Raises
    ------
    TypeError
        If it is neither a string nor a path.
    ValueError
        If no file system has such a name.
    """
    if not isinstance(value, str | PathLike) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name} must be the path of {what}, got {described(value)}")
    path = Path(value)
    if "\0" in str(path):
        raise ValueError(f"{name} must be the path of {what}: {described(str(path))} has a NUL in it")
    return path


def described(value: Any) -> str:
    """Return what was given, short enough for one line of a message."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, shape {value.shape}"
    plain = value is None or isinstance(value, str | bool | Real | Sequence | set | frozenset | range | Mapping)
    text = " ".join(repr(value).split())
    if plain and len(text) <= _LONGEST:
        return (
            text if value is None or not isinstance(value, str | bool) else f"{text} ({type(value).__name__})"
        )
    if plain:
        return f"{text[:_LONGEST]}... ({type(value).__name__})"
    kind = type(value)
    return (
        f"a {kind.__qualname__}"
        if kind.__module__ == "builtins"
        else f"a {kind.__module__}.{kind.__qualname__}"
    )


def _is_sequence(values: Any) -> bool:
    """Whether these are several, and will be so again at the next use: an iterator is refused."""
    if isinstance(values, str | bytes | Mapping) or getattr(values, "ndim", 1) != 1:
        return False
    return isinstance(values, Sized) and hasattr(values, "__iter__")


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return "" if maximum is None else f" up to {maximum:g}"
    if maximum is None or maximum == _LARGEST_SEED:
        return f" from {minimum:g}"
    return f" from {minimum:g} to {maximum:g}"


def _check_range(name: str, number: float, what: str, minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and number < minimum:
        raise ValueError(f"{name} must be at least {minimum:g}, got {number}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{name} must be {what} of at most {maximum}, got {number}")
