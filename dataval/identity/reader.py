"""Following everything that a value consists of."""

from __future__ import annotations

import copyreg
import functools
import hashlib
import pickle
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dataval.data import to_numpy
from dataval.errors import UnknownIdentityError
from dataval.identity.code import constants, operations, referenced
from dataval.identity.library import full_name, is_library, is_named_in_library, type_name

__all__ = ["identity", "is_comparable"]

_VERSION = f"py{sys.version_info.major}.{sys.version_info.minor}"
_NAME = "dataval_identity"
_PLAIN = (type(None), bool, int, complex, str, bytes, types.EllipsisType, types.NotImplementedType)
_CONTAINERS = (int, float, complex, str, bytes, bytearray, tuple, list, dict)
_POINTER = 8
_PROTOCOL = 4
_IS_PYTHONS = 1 << 9  # the flag of classes that are made at run time
_NO_MEMBERS = {  # of a class: how it is kept and documented
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__", "__slotnames__"),
    *("__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    *("__abstractmethods__", "_abc_impl"),
}


def identity(function: Any) -> str:
    """Return a text that two functions (or other values) share only where what decides their results is equal.

    Parameters
    ----------
    function
        A function, bound method, partial, callable object or class; or a plain value, container or array. An
        attribute ``dataval_identity`` (a text) of it, or of anything that it refers to, stands for the contents
        of what carries it.

    Returns
    -------
    str
        ``py3.12:<digest>``.

    Raises
    ------
    UnknownIdentityError
        If it holds what can't be read (a lock, an open file, a generator, a compiled object), naming where.
    """
    return f"{_VERSION}:{_Reader().read(function)}"


def is_comparable(left: str, right: str) -> bool:
    """Whether two identities were found by the same version of Python, so that they can be compared."""
    return left.partition(":")[0] == right.partition(":")[0]


class _Reader:
    """Turns values into digests, each once: a value that leads back to itself is named by its distance."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._done: dict[int, str] = {}
        self._kept: list[Any] = []  # an id stays its value's own only as long as the value lives
        self._path: list[str] = []

    def read(self, value: Any, where: str = "") -> str:
        """Return the digest of a value, reached as `where` from the one that is being read."""
        key = id(value)
        if key in self._open:
            return _digest("again", str(len(self._open) - self._open[key]))
        if key not in self._done:
            self._kept.append(value)
            self._done[key] = self._read_new(key, value, where or _name_of(value))
        return self._done[key]

    def _read_new(self, key: int, value: Any, where: str) -> str:
        self._open[key] = len(self._open)
        self._path.append(where)
        try:
            return _digest(*self._parts(value))
        finally:
            del self._open[key]
            self._path.pop()

    def _parts(self, value: Any) -> Iterator[str]:
        """Yield what a value is, beginning with its kind."""
        given = _given_name(value)
        if given is not None:
            return iter(["named", given])
        for kinds, parts in _BY_CLASS:
            if isinstance(value, kinds):
                return parts(self, value)
        exact = _BY_EXACT_CLASS.get(type(value))
        if exact is not None:
            return exact(self, value)
        return self._array(value) if _is_array(value) else self._object(value)

    def _all(self, values: Iterable[Any], where: str = "") -> Iterator[str]:
        for value in values:
            yield self.read(value, where)

    def _named(self, members: dict[str, Any]) -> Iterator[str]:
        """Yield values in the order of their names."""
        for name in sorted(members):
            yield from (name, self.read(members[name], name))

    # ---- code ------------------------------------------------------------------------------------

    def _function(self, value: types.FunctionType) -> Iterator[str]:
        yield "function"
        if is_named_in_library(value):
            yield from full_name(value)
            return
        yield from self._code(value.__code__)
        yield from self._named({} if is_library(value) else referenced(value.__code__, value.__globals__))
        yield from self._all(value.__defaults__ or (), "a default")
        yield from self._named(value.__kwdefaults__ or {})
        yield from self._named({name: v for name, v in vars(value).items() if name != "__wrapped__"})
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield from self._all(_contents(cell), name)

    def _code(self, code: types.CodeType) -> Iterator[str]:
        yield from operations(code)
        yield from self._all(constants(code), "a constant")

    def _method(self, value: types.MethodType) -> Iterator[str]:
        yield from ("method", self.read(value.__func__), self.read(value.__self__, "self"))

    def _partial(self, value: functools.partial[Any]) -> Iterator[str]:
        yield from ("partial", self.read(value.func, "func"))
        yield from self._all(value.args, "an argument")
        yield from self._named(value.keywords)

    def _builtin(self, value: Any) -> Iterator[str]:
        owner = value.__self__
        is_of_module = owner is None or isinstance(owner, types.ModuleType)
        yield from ("builtin", *full_name(value), "" if is_of_module else self.read(owner, "self"))

    def _descriptor(self, value: Any) -> Iterator[str]:
        yield from ("descriptor", *full_name(value))

    def _wrapper(self, value: Any) -> Iterator[str]:
        yield from (type(value).__name__, self.read(value.__func__))

    def _property(self, value: property) -> Iterator[str]:
        yield "property"
        yield from self._all((value.fget, value.fset, value.fdel))

    def _class(self, value: type) -> Iterator[str]:
        yield from ("class", value.__qualname__)
        if is_library(value):
            yield value.__module__
            return
        yield from self._all(value.__bases__, "a base")
        yield from self._named({name: v for name, v in vars(value).items() if name not in _NO_MEMBERS})

    def _module(self, value: types.ModuleType) -> Iterator[str]:
        """Yield a library's name, or the source of a module of the caller's own."""
        yield from ("module", value.__name__)
        if is_library(value):
            return
        path = getattr(value, "__file__", None)
        if path is None:
            raise self._unknown(value)
        yield hashlib.blake2b(Path(path).read_bytes()).hexdigest()

    # ---- values ----------------------------------------------------------------------------------

    def _plain(self, value: Any) -> Iterator[str]:
        yield from (type(value).__name__, repr(value))

    def _float(self, value: float) -> Iterator[str]:
        yield from ("float", value.hex())

    def _sequence(self, value: Any) -> Iterator[str]:
        yield type(value).__name__
        yield from self._all(value, "an item")

    def _mapping(self, value: Any) -> Iterator[str]:
        yield "mapping"
        for key, item in value.items():
            yield from (self.read(key), self.read(item, f"[{key!r}]" if isinstance(key, str) else "an item"))

    def _set(self, value: Any) -> Iterator[str]:
        """Yield items in the order of digests that don't depend on what was read before them."""
        yield from ("set", type_name(value))
        yield from sorted(_Reader().read(item) for item in value)

    def _array(self, value: Any) -> Iterator[str]:
        """Yield dtype, shape and contents of an array of NumPy or a framework."""
        yield from ("array", str(value.dtype), repr(tuple(map(int, value.shape))))
        try:
            array = to_numpy(value)
        except TypeError:  # a number format that NumPy doesn't have
            yield repr(value.tolist())
            return
        yield self.read(array.tolist()) if array.dtype.hasobject else array.tobytes().hex()

    # ---- objects ---------------------------------------------------------------------------------

    def _object(self, value: Any) -> Iterator[str]:
        """Yield an object's class and state: its attributes, or what it is pickled as."""
        wrapped = getattr(value, "__wrapped__", None)
        if callable(wrapped) and is_library(type(value)):  # such as functools.cache's and compiled functions
            return iter(["wrapped", type_name(value), self.read(wrapped, "__wrapped__")])
        start = iter(["object", self.read(type(value), "its class")])
        return _joined(start, self._pickled(value) if _hides_state(value) else self._attributes(value))

    def _attributes(self, value: Any) -> Iterator[str]:
        slots = {name: getattr(value, name) for name in _slots(type(value)) if hasattr(value, name)}
        attributes = {str(name): v for name, v in getattr(value, "__dict__", {}).items()}
        yield from self._named(attributes | slots)

    def _pickled(self, value: Any) -> Iterator[str]:
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            reduced = value.__reduce_ex__(_PROTOCOL) if reduce is None else reduce(value)
            name = pickle.dumps(value, _PROTOCOL).hex() if isinstance(reduced, str) else ""
        except Exception as error:
            raise self._unknown(value) from error
        if name:  # a global of that name, which pickle has looked up
            yield name
            return
        yield self.read(reduced[0], "what rebuilds it")
        yield from self._all(reduced[1], "its contents")
        yield from self._all((list(p) if isinstance(p, Iterator) else p for p in reduced[2:]), "its state")

    def _unknown(self, value: Any) -> UnknownIdentityError:
        return UnknownIdentityError(
            f"can't tell what {type_name(value)} holds (reached as {' -> '.join(self._path)}), so what was "
            f"kept for it can't be told from what belongs to another: give the function a text of your own in "
            f"an attribute {_NAME}, and another text whenever it changes"
        )


Parts = Callable[[_Reader, Any], Iterator[str]]

_BY_CLASS: list[tuple[Any, Parts]] = [
    (types.FunctionType, _Reader._function),
    (types.MethodType, _Reader._method),
    (functools.partial, _Reader._partial),
    ((types.BuiltinFunctionType, types.MethodWrapperType), _Reader._builtin),
    (
        (
            types.MethodDescriptorType,
            types.ClassMethodDescriptorType,
            types.WrapperDescriptorType,
            types.GetSetDescriptorType,
            types.MemberDescriptorType,
        ),
        _Reader._descriptor,
    ),
    (types.ModuleType, _Reader._module),
    (type, _Reader._class),
    (types.CodeType, _Reader._code),
    ((staticmethod, classmethod), _Reader._wrapper),
    (property, _Reader._property),
    ((set, frozenset), _Reader._set),
]
_BY_EXACT_CLASS: dict[type, Parts] = {
    **dict.fromkeys(_PLAIN, _Reader._plain),
    float: _Reader._float,
    tuple: _Reader._sequence,
    list: _Reader._sequence,
    dict: _Reader._mapping,
    types.MappingProxyType: _Reader._mapping,
}


def _digest(*parts: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _joined(first: Iterator[str], second: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from second


def _given_name(value: Any) -> str | None:
    """Return the text that the caller has given a value for its contents; a class's is its objects' too."""
    given = None if isinstance(value, types.ModuleType) else getattr(value, _NAME, None)
    return given if isinstance(given, str) else None


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) or all(
        hasattr(value, name) for name in ("shape", "numpy")
    )


def _hides_state(value: Any) -> bool:
    """Whether an object holds more than attributes and slots, as far as its class's size tells."""
    kind = type(value)
    room = object.__basicsize__ + _POINTER * (2 + len(_slots(kind)))
    is_pythons = bool(kind.__flags__ & _IS_PYTHONS) and kind.__basicsize__ <= room
    return isinstance(value, _CONTAINERS) or not is_pythons


def _slots(kind: type) -> list[str]:
    """Return the names of all slots of a class and its bases."""
    names = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        own = [slots] if isinstance(slots, str) else slots
        names += [_mangled(name, base) for name in own if name not in {"__dict__", "__weakref__"}]
    return names


def _mangled(name: str, owner: type) -> str:
    """Return the name of the attribute that a private name of a class stands for."""
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.__name__.lstrip('_')}{name}" if is_private else name


def _contents(cell: types.CellType) -> list[Any]:
    """Return what a closure's cell holds, nothing where the variable has no value yet."""
    try:
        return [cell.cell_contents]
    except ValueError:
        return []


def _name_of(value: Any) -> str:
    return str(getattr(value, "__qualname__", "") or f"a {type(value).__name__}")
