"""Where a traced forward pass uses its parameters: what depends on them alone meets what depends on samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import tensorflow as tf

__all__ = ["PRODUCTS", "TRANSPARENT", "Flow", "Meeting", "is_copy", "is_lookup"]

PRODUCTS = {
    "BatchMatMul",
    "BatchMatMulV2",
    "BatchMatMulV3",
    "Conv2D",
    "Conv3D",
    "DepthwiseConv2dNative",
    "Einsum",
    "MatMul",
}
"""Operations that multiply by a matrix."""

_SHAPES = {"Shape", "ShapeN", "Size", "Rank"}
_STOPS = {"StopGradient", "PreventGradient"}
_ENTRYWISE = {
    "Add",
    "AddV2",
    "Exp",
    "Mul",
    "Neg",
    "RealDiv",
    "Reciprocal",
    "Rsqrt",
    "Sigmoid",
    "Softplus",
    "Sqrt",
    "Square",
    "Sub",
    "Tanh",
}
TRANSPARENT = {"Cast", "ExpandDims", "Identity", "Reshape", "Squeeze"}
"""Operations that leave all entries in their order."""


@dataclass(frozen=True)
class Meeting:
    """An operation that joins something of parameters alone with something of samples.

    Attributes
    ----------
    op : Operation
    index : int
        Which of its inputs is of parameters alone.
    leaves : frozenset of str
        The parameters that this depends on.
    """

    op: tf.Operation
    index: int
    leaves: frozenset[str]

    @property
    def parameter(self) -> tf.Tensor:
        """What depends on parameters alone."""
        return self.op.inputs[self.index]


class Flow:
    """The operations between parameters, samples and losses.

    Parameters
    ----------
    values : Tensor
        The losses.
    leaves : dict of str to Tensor
        The parameters.
    batch : iterable of Tensor
        What differs between samples, and what random numbers come from.
    shared : set of int
        Which of the products, lookups and copies in which a parameter meets constants are the same for all
        samples, by number.

    Attributes
    ----------
    meetings : list of Meeting
        In the order of the operations.
    with_constants : dict of str to int
        The number of each product, lookup or copy in which a parameter meets constants, by its output's name.
    """

    def __init__(
        self,
        values: tf.Tensor,
        leaves: Mapping[str, tf.Tensor],
        batch: Iterable[tf.Tensor],
        shared: frozenset[int] = frozenset(),
    ) -> None:
        self.leaves = {tensor.name: name for name, tensor in leaves.items()}
        self._shared = shared
        self._moving = {tensor.name for tensor in batch}
        self._fixed = {tensor.name: frozenset([name]) for name, tensor in leaves.items()}
        self._entrywise = set(self._fixed)
        self.meetings: list[Meeting] = []
        self.with_constants: dict[str, int] = {}
        self.consumers: dict[str, list[tf.Operation]] = {}
        for op in self._between(values):
            self._visit(op)

    def is_moving(self, tensor: tf.Tensor) -> bool:
        """Whether a tensor depends on the samples."""
        return tensor.name in self._moving

    def is_entrywise(self, tensor: tf.Tensor) -> bool:
        """Whether every entry depends on the entries of parameters at the same place alone."""
        return tensor.name in self._entrywise

    def _between(self, values: tf.Tensor) -> Iterator[tf.Operation]:
        """Yield what the losses are computed by, in order."""
        found, waiting = {}, [values.op]
        while waiting:
            op = waiting.pop()
            if op.name in found or any(out.name in self.leaves for out in op.outputs):
                continue
            found[op.name] = op
            waiting += [tensor.op for tensor in op.inputs]
        for op in values.graph.get_operations():
            if op.name in found:
                yield op

    def _visit(self, op: tf.Operation) -> None:
        inputs, outputs = list(op.inputs), [out.name for out in op.outputs]
        for tensor in inputs:
            self.consumers.setdefault(tensor.name, []).append(op)
        if op.type in _SHAPES:
            return
        moves = any(tensor.name in self._moving for tensor in inputs)
        fixed = [index for index, tensor in enumerate(inputs) if tensor.name in self._fixed]
        if op.type in _STOPS:
            self._moving.update(outputs if moves else ())
            return
        moves = moves or self._is_by_sample(op, fixed)
        if moves:
            self._moving.update(outputs)
            if any(out.dtype.is_floating for out in op.outputs):
                self.meetings += [Meeting(op, index, self._fixed[inputs[index].name]) for index in fixed]
        elif fixed:
            joined = frozenset().union(*(self._fixed[inputs[index].name] for index in fixed))
            self._fixed |= dict.fromkeys(outputs, joined)
            if self._keeps_entries(op, fixed):
                self._entrywise.update(outputs)

    def _is_by_sample(self, op: tf.Operation, fixed: list[int]) -> bool:
        """Whether parameters meet constants (positions, first states), or are copied, for each sample."""
        if len(fixed) != 1 or not (is_lookup(op) or is_copy(op) or op.type in PRODUCTS):
            return False
        if not op.inputs[1 - fixed[0]].shape.rank:
            return False
        number = len(self.with_constants)
        self.with_constants[op.outputs[0].name] = number
        return number not in self._shared

    def _keeps_entries(self, op: tf.Operation, fixed: list[int]) -> bool:
        if op.type not in _ENTRYWISE | TRANSPARENT:
            return False
        if not all(op.inputs[index].name in self._entrywise for index in fixed):
            return False
        size = op.outputs[0].shape.num_elements()
        return all(op.inputs[index].shape.num_elements() == size for index in fixed)


def is_lookup(op: tf.Operation) -> bool:
    """Whether an operation reads rows of a table."""
    if op.type not in {"Gather", "GatherV2"}:
        return False
    axis = tf.get_static_value(op.inputs[2]) if op.type == "GatherV2" else 0
    return axis is not None and int(axis) == 0 and not _batch_dims(op)


def is_copy(op: tf.Operation) -> bool:
    """Whether an operation repeats something along axes of length 1."""
    if op.type == "BroadcastTo":
        return True
    shapes = op.inputs[0].shape, op.outputs[0].shape
    return op.type == "Tile" and all(old in {1, new} for old, new in zip(*shapes, strict=True))


def _batch_dims(op: tf.Operation) -> int:
    return int(op.get_attr("batch_dims")) if op.type == "GatherV2" else 0
