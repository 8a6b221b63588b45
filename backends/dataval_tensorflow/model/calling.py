"""How a model wants its inputs: as one structure, or one by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch

__all__ = ["Call"]

_NO_INPUTS = {"training", "mask"}


class Call:
    """Calls a model as its signature says.

    Inputs in a tuple become positional arguments where the signature has room for them, inputs in a dict become
    keywords where it has their names; otherwise they are one argument, as Keras models take them.

    Parameters
    ----------
    function : callable or None
        The method whose signature counts.
    bound : bool
        Whether the signature's first parameter is the model itself.
    """

    def __init__(self, function: Callable[..., Any] | None, *, bound: bool) -> None:
        if function is None:
            raise InvalidModelError("the model can't be called: give its class a method __call__(self, inputs)")
        parameters = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
        kinds = {p.kind for p in parameters}
        self._names = {p.name for p in parameters} - _NO_INPUTS
        self._takes_keywords = inspect.Parameter.VAR_KEYWORD in kinds
        named = {p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD}
        self._required = named - _NO_INPUTS
        positional = [
            p
            for p in parameters
            if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} and p.name not in _NO_INPUTS
        ]
        self._room = 99 if inspect.Parameter.VAR_POSITIONAL in kinds else len(positional)
        self._told_mode = any(p.name == "training" for p in parameters)

    def __call__(self, model: Any, batch: Batch, *, training: bool, tell: bool = False) -> Any:
        """Return the model's outputs; with `tell`, the mode is passed whatever the signature says."""
        options = {"training": training} if tell or self._told_mode else {}
        args, keywords = self._arguments(batch.inputs)
        return model(*args, **keywords, **options)

    def _arguments(self, inputs: Any) -> tuple[tuple[Any, ...], dict[str, tf.Tensor]]:
        if isinstance(inputs, tuple) and (len(inputs) <= self._room or self._room == 0):
            return inputs, {}
        if isinstance(inputs, dict) and self._wants_keywords(set(inputs)):
            return (), inputs
        return (inputs,), {}

    def _wants_keywords(self, names: set[str]) -> bool:
        """Whether inputs of these names can be keywords: each has a place, and no other place is left open."""
        return self._required <= names and (names <= self._names or self._takes_keywords)
