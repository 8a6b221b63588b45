"""Modules of plain TensorFlow, and functions with variables, called with other values for their variables."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from dataval.errors import InvalidModelError
from dataval_tensorflow.batches import Batch
from dataval_tensorflow.model.calling import Call
from dataval_tensorflow.model.parameters import Named
from dataval_tensorflow.model.randomness import generator_state

__all__ = ["FunctionModel", "ModuleCaller", "Slot"]


class FunctionModel(tf.Module):
    """A plain function with its variables, as a model.

    Parameters
    ----------
    function : callable
        ``function(variables, inputs)`` -> outputs. Several inputs follow one another (or are keywords, for
        inputs in a dict); with a parameter named ``training`` the function is told the mode. It must take its
        variables from its first argument, not from where they were defined.
    variables : Variable, or list, tuple or dict of them
        What the function is called with. Those with ``trainable=False`` are state: constants, or, where the
        function assigns to them in training mode, running statistics.

    Examples
    --------
    >>> def forward(variables, x):
    ...     weights, bias = variables
    ...     return x @ weights + bias
    >>> model = FunctionModel(forward, [tf.Variable(tf.zeros((4, 3))), tf.Variable(tf.zeros(3))])
    >>> learner = dv.Learner(model, loss="cross_entropy")
    """

    def __init__(self, function: Callable[..., Any], variables: Any) -> None:
        super().__init__()
        self.function = function
        self.values = variables

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Return the function's outputs."""
        return self.function(self.values, *inputs, **options)


class Slot:
    """A tensor that stands where a module keeps a variable; assigning to it keeps derivatives."""

    def __init__(self, value: tf.Tensor) -> None:
        self._value = value

    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> tf.Tensor:
        return self._value if dtype is None else tf.cast(self._value, dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value, name)

    def __len__(self) -> int:
        return len(self._value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._value)

    def value(self) -> tf.Tensor:
        """Return the tensor."""
        return self._value

    read_value = value

    def assign(self, value: Any, *_: Any, **__: Any) -> Slot:
        """Take another value, in the same shape and dtype."""
        self._value = tf.ensure_shape(tf.convert_to_tensor(value, self._value.dtype), self._value.shape)
        return self

    def assign_add(self, value: Any, *_: Any, **__: Any) -> Slot:
        """Add to the value."""
        return self.assign(self._value + value)

    def assign_sub(self, value: Any, *_: Any, **__: Any) -> Slot:
        """Subtract from the value."""
        return self.assign(self._value - value)


def _delegate(name: str) -> None:
    def operator(self: Slot, *args: Any) -> Any:
        plain = [arg.value() if isinstance(arg, Slot) else arg for arg in args]
        return getattr(self.value(), name)(*plain)

    setattr(Slot, name, operator)


for _name in tf.Tensor.OVERLOADABLE_OPERATORS - {"__eq__", "__ne__"}:
    _delegate(_name)


class ModuleCaller:
    """A private copy of a `tf.Module`, called with tensors in the places of its variables.

    Variables are found where `tf.Module` finds them: in the attributes of the module and of the modules among
    these, and in lists, tuples and dicts there. Each is named by its path.

    Parameters
    ----------
    module : Module
        It is copied.
    """

    def __init__(self, module: tf.Module) -> None:
        self.module = _copy(module)
        self._call = Call(type(module).__call__ if callable(module) else None, bound=True)
        found = _find(self.module)
        self._variables = {name: v for name, v in found.items() if isinstance(v, tf.Variable)}
        self._generators = {name: g for name, g in found.items() if isinstance(g, tf.random.Generator)}
        self.trainable = {name: v for name, v in self._variables.items() if v.trainable}
        self.state = {name: v for name, v in self._variables.items() if not v.trainable}
        self.state |= {name: g.state for name, g in self._generators.items()}
        self.seeds = tuple(self._generators)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the module: what was found in it is found again."""
        return ModuleCaller, (self.module,)

    def seeded(self, seed: tf.Tensor) -> Named:
        """Return the states of all generators for a forward pass."""
        return {
            name: generator_state(seed, index, generator.state.value())
            for index, (name, generator) in enumerate(self._generators.items())
        }

    def call(self, values: Named, batch: Batch, *, training: bool) -> tuple[Any, Named]:
        """Return the outputs under these values, and all values after the call."""
        for name, generator in self._generators.items():
            generator.reset(values[name])
        slots = {name: Slot(values[name]) for name in self._variables}
        with _swapped(self.module, {self._variables[name].ref(): slot for name, slot in slots.items()}):
            outputs = self._call(self.module, batch, training=training)
        after = {name: slot.value() for name, slot in slots.items()}
        after |= {name: generator.state.read_value() for name, generator in self._generators.items()}
        return tf.nest.map_structure(_plain, outputs), after

    def export(self, values: Named) -> tf.Module:
        """Return a copy of the module holding these values."""
        module = _copy(self.module)
        for name, found in _find(module).items():
            if isinstance(found, tf.Variable):
                found.assign(values[name])
        return module

    def predict(self, module: tf.Module, batch: Batch) -> Any:
        """Return the outputs of an exported module in evaluation mode; a copy of it is called."""
        return self._call(_copy(module), batch, training=False)

    def doubled(self, values: Named) -> tf.Module:
        """Return a copy of the module with variables of float64 holding these values."""
        module = _copy(self.module)
        for name, variable in _find(module).items():
            if isinstance(variable, tf.Variable) and variable.dtype == tf.float32:
                wide = tf.Variable(tf.cast(values[name], tf.float64), trainable=variable.trainable)
                _put(module, {variable.ref(): wide})
        return module


def _copy(module: tf.Module) -> tf.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise InvalidModelError(
            f"the model can't be copied ({error}): pass a function without arguments that builds it instead"
        ) from error


def _plain(output: Any) -> Any:
    return output.value() if isinstance(output, Slot) else output


def _find(module: tf.Module) -> dict[str, Any]:
    """Return all variables and generators of a module by their paths; a shared one by its first."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for path, _, _, leaf in _leaves(module, ""):
        if isinstance(leaf, tf.Variable | tf.random.Generator) and id(leaf) not in seen:
            seen.add(id(leaf))
            found[path] = leaf
    return found


def _leaves(
    module: tf.Module, prefix: str, visited: set[int] | None = None
) -> Iterator[tuple[str, tf.Module, str, Any]]:
    """Yield path, owner, attribute and value of everything in a module's attributes, recursively."""
    visited = set() if visited is None else visited
    visited.add(id(module))
    for attribute in sorted(vars(module)):
        if attribute in module._TF_MODULE_IGNORED_PROPERTIES:
            continue
        for path, leaf in _flat(vars(module)[attribute], f"{prefix}{attribute}"):
            yield path, module, attribute, leaf
            if isinstance(leaf, tf.Module) and id(leaf) not in visited:
                yield from _leaves(leaf, f"{path}.", visited)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _flat(value[key], f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}.{index}")
    else:
        yield path, value


@contextmanager
def _swapped(module: tf.Module, slots: dict[Any, Slot]) -> Iterator[None]:
    """Put slots in the places of variables; put the variables back on leaving."""
    before = _owners(module)
    try:
        _put(module, slots)
        yield
    finally:
        for owner, attribute, value in before:
            vars(owner)[attribute] = value


def _owners(module: tf.Module) -> list[tuple[Any, str, Any]]:
    """Return the attributes that hold variables: their owner, name and value."""
    owners = {
        (id(owner), attribute): (owner, attribute, vars(owner)[attribute])
        for _, owner, attribute, leaf in _leaves(module, "")
        if isinstance(leaf, tf.Variable)
    }
    return list(owners.values())


def _put(module: tf.Module, substitutes: dict[Any, Any]) -> None:
    for owner, attribute, value in _owners(module):
        vars(owner)[attribute] = _replaced(value, substitutes)


def _replaced(value: Any, slots: dict[Any, Any]) -> Any:
    """Return a structure with slots for variables, and plain lists, tuples and dicts for TensorFlow's own."""
    if isinstance(value, tf.Variable):
        return slots.get(value.ref(), value)
    if isinstance(value, dict):
        return {key: _replaced(item, slots) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_replaced(item, slots) for item in value]
        if hasattr(value, "_fields"):
            return type(getattr(value, "__wrapped__", value))(*items)
        return items if isinstance(value, list) else tuple(items)
    return value
