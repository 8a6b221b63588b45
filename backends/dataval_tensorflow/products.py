"""Products of tensors."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["einsum"]


def einsum(equation: str, *tensors: tf.Tensor) -> tf.Tensor:
    """Multiply tensors and add up over axes, as `tf.einsum`.

    That is slow where axes have length 1, or where there is nothing to add up or to multiply, as is done here.
    """
    terms, _, result = equation.partition("->")
    sizes: dict[str, int] = {}
    labels, squeezed = [], []
    for term, tensor in zip(terms.split(","), tensors, strict=True):
        lengths = dict(zip(term, tensor.shape.as_list(), strict=True))
        sizes |= lengths
        left = "".join(label for label in term if lengths[label] > 1)
        labels.append(left)
        squeezed.append(tensor if left == term else tf.reshape(tensor, [lengths[label] for label in left]))
    wanted = "".join(label for label in result if sizes[label] > 1)
    found = _without_ones(labels, squeezed, wanted, sizes)
    return found if wanted == result else tf.reshape(found, [sizes[label] for label in result])


def _without_ones(labels: list[str], tensors: list[tf.Tensor], wanted: str, sizes: dict[str, int]) -> tf.Tensor:
    if len(labels) == 1 and _in_order(labels[0], wanted):
        return tf.reduce_sum(tensors[0], [axis for axis, label in enumerate(labels[0]) if label not in wanted])
    if len(labels) == 2 and all(set(term) <= set(wanted) and _in_order(wanted, term) for term in labels):
        shapes = [[sizes[label] if label in term else 1 for label in wanted] for term in labels]
        left, right = (tf.reshape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))
        return left * right
    return tf.einsum(f"{','.join(labels)}->{wanted}", *tensors)


def _in_order(labels: str, some: str) -> bool:
    """Whether some labels follow one another as they do among all."""
    return "".join(label for label in labels if label in some) == some
