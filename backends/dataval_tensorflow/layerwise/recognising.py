"""Which operations use parameters in a way that is known."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

import tensorflow as tf

from dataval_tensorflow.layerwise.flow import PRODUCTS, TRANSPARENT, Flow, Meeting, is_copy, is_lookup
from dataval_tensorflow.layerwise.uses import (
    ConvolutionUse,
    ElementwiseUse,
    LinearUse,
    LookupUse,
    ProductUse,
    Use,
)
from dataval_tensorflow.model.patches import Geometry

__all__ = ["product_before", "recognised"]

_PASSING = TRANSPARENT | {"BatchToSpaceND"}
"""What may stand between a product and its bias: the sum over positions stays the same."""


def recognised(meeting: Meeting) -> Use | None:
    """Return how an operation uses parameters; None where that isn't known."""
    op, index = meeting.op, meeting.index
    if op.type in PRODUCTS:
        return _multiplied(op, index)
    if is_lookup(op) and index == 0:
        return LookupUse(op, op.inputs[0], op.inputs[1])
    return _elementwise(op, index)


def product_before(use: ElementwiseUse, flow: Flow) -> LinearUse | None:
    """Return the product that a parameter is a bias of; None where it isn't one."""
    if use.factor is not None or use.channels_first or is_copy(use.op):
        return None
    n_outputs = use.parameter.shape.num_elements()
    if [length for length in use.parameter.shape if length != 1] != _suffix(use.output, n_outputs):
        return None
    tensor = use.other
    while True:
        if len(flow.consumers[tensor.name]) > 1 or _suffix(tensor, n_outputs) is None:
            return None
        op = tensor.op
        if op.type not in _PASSING:
            break
        tensor = op.inputs[0]
    moving = [index for index, each in enumerate(op.inputs[:2]) if flow.is_moving(each)]
    if op.type not in PRODUCTS or len(moving) != 1:
        return None
    product = _multiplied(op, 1 - moving[0])
    if product is None or not product.has_channels_last or product.n_outputs != n_outputs:
        return None
    return product


def _suffix(tensor: tf.Tensor, size: int) -> list[int] | None:
    """Return the last axes that have `size` entries together, without those of length 1; None without such."""
    found: list[int] = []
    product = 1
    for length in reversed(tensor.shape.as_list()):
        if product == size:
            break
        product *= length
        found.insert(0, length)
    return [length for length in found if length != 1] if product == size else None


def _multiplied(op: tf.Operation, index: int) -> LinearUse | None:
    if "Conv" in op.type:
        return _convolution(op, index)
    return _einsum(op, index) if op.type == "Einsum" else _matmul(op, index)


def _matmul(op: tf.Operation, index: int) -> ProductUse | None:
    """Label the axes of a product of matrices, or of stacks of them."""
    turned = [_attribute(op, names) for names in (("transpose_a", "adj_x"), ("transpose_b", "adj_y"))]
    left, right = (tensor.shape.rank for tensor in op.inputs)
    letters = iter(ascii_letters)
    row, inner, column = (next(letters) for _ in range(3))
    stack = [next(letters) for _ in range(op.outputs[0].shape.rank - 2)]
    labels = []
    for rank, pair, turn in ((left, row + inner, turned[0]), (right, inner + column, turned[1])):
        labels.append("".join(stack[len(stack) - rank + 2 :]) + (pair[::-1] if turn else pair))
    out = "".join(stack) + row + column
    return _product(op, index, labels[0], labels[1], out)


def _einsum(op: tf.Operation, index: int) -> ProductUse | None:
    """Take the labels as they are."""
    equation = op.get_attr("equation").decode()
    if len(op.inputs) != 2 or "." in equation:
        return None
    terms, _, out = equation.partition("->")
    left, right = terms.split(",")
    return _product(op, index, left, right, out)


def _product(op: tf.Operation, index: int, left: str, right: str, out: str) -> ProductUse | None:
    parameter, other = op.inputs[index], op.inputs[1 - index]
    mine, others = (left, right) if index == 0 else (right, left)
    if any(len(set(labels)) < len(labels) for labels in (left, right, out)):
        return None
    if any(label not in others + out for label in mine) or any(label not in mine + out for label in others):
        return None
    if _lengths(others, other) | _lengths(mine, parameter) != _lengths(mine, parameter) | _lengths(
        others, other
    ):
        return None  # an axis of length 1 that is repeated
    if parameter.op.type == "Transpose":
        order = tf.get_static_value(parameter.op.inputs[1])
        parameter = parameter.op.inputs[0]
        mine = "".join(mine[list(order).index(axis)] for axis in range(len(mine)))
    return ProductUse(op, parameter, other, (others, mine, out))


def _lengths(labels: str, tensor: tf.Tensor) -> dict[str, int]:
    return dict(zip(labels, tensor.shape.as_list(), strict=True))


def _convolution(op: tf.Operation, index: int) -> ConvolutionUse | None:
    """Read the attributes of a convolution, whose filters are `(*size, channels, outputs)`."""
    if index != 1:
        return None
    images, filters = op.inputs[:2]
    n_axes, last = filters.shape.rank - 2, op.get_attr("data_format").decode().endswith("C")
    where = slice(1, n_axes + 1) if last else slice(2, n_axes + 2)
    padding = op.get_attr("padding").decode()
    pads: Any = {"SAME": None, "VALID": ((0, 0),) * n_axes}.get(padding)
    if padding == "EXPLICIT":
        flat = op.get_attr("explicit_paddings")
        pads = tuple(zip(flat[::2], flat[1::2], strict=True))[where]
    channels = int(images.shape[-1 if last else 1])
    depthwise = op.type == "DepthwiseConv2dNative"
    geometry = Geometry(
        tuple(filters.shape[:n_axes]),
        tuple(op.get_attr("strides")[where]),
        tuple(op.get_attr("dilations")[where]),
        pads,
        channels if depthwise else channels // int(filters.shape[-2]),
    )
    return ConvolutionUse(op, filters, images, geometry, last)


def _elementwise(op: tf.Operation, index: int) -> ElementwiseUse | None:
    if len(op.inputs) != 2:
        return None
    parameter, other = op.inputs[index], op.inputs[1 - index]
    factor: Any
    match op.type:
        case "Add" | "AddV2":
            factor = None
        case _ if is_copy(op):
            factor = None
        case "BiasAdd" if index == 1:
            first = op.get_attr("data_format").decode().startswith("NC")
            return ElementwiseUse(op, parameter, other, None, first)
        case "Sub":
            factor = None if index == 0 else -1.0
        case "Mul":
            factor = other
        case "RealDiv":
            factor = 1 / other if index == 0 else -op.outputs[0] / parameter
        case _:
            return None
    return ElementwiseUse(op, parameter, other, factor)


def _attribute(op: tf.Operation, names: tuple[str, ...]) -> bool:
    known = op.node_def.attr
    return any(bool(op.get_attr(name)) for name in names if name in known)
