"""Which parameters are trained, and their flat form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import tensorflow as tf

from dataval.backend.selection import Filter, select
from dataval.errors import InvalidModelError

__all__ = ["Layout", "Named", "select_parameters"]

Named = dict[str, tf.Tensor]


class Layout:
    """Names and shapes of tensors that are kept concatenated in one flat vector."""

    def __init__(self, tensors: Mapping[str, tf.Tensor]) -> None:
        self.names = tuple(tensors)
        self.shapes = tuple(tuple(tensor.shape) for tensor in tensors.values())
        self._sizes = [prod(shape) for shape in self.shapes]
        self.size = sum(self._sizes)

    def split(self, flat: tf.Tensor) -> list[tf.Tensor]:
        """Return the pieces, in their shapes, of a vector ``(size,)``."""
        if not self._sizes:
            return []
        pieces = tf.split(flat, self._sizes)
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def named(self, flat: tf.Tensor | Named) -> Named:
        """Return `split` by name; what is by name already stays so."""
        if isinstance(flat, dict):
            return flat
        return dict(zip(self.names, self.split(flat), strict=True))

    def join(self, tensors: Sequence[tf.Tensor], dtype: tf.DType) -> tf.Tensor:
        """Return tensors as one vector ``(size,)``."""
        if not tensors:
            return tf.zeros((0,), dtype)
        return tf.concat([tf.reshape(tf.cast(tensor, dtype), (-1,)) for tensor in tensors], axis=0)


def select_parameters(trainable: Named, params: Filter, *, has_frozen: bool) -> Named:
    """Return the parameters to train, in the model's own order.

    Raises
    ------
    InvalidModelError
        If nothing is left, a name selects nothing, or the dtypes are mixed or too coarse.
    """
    selected = select(trainable, params, has_frozen=has_frozen)
    _check_dtypes(selected)
    return selected


def _check_dtypes(selected: Named) -> None:
    dtypes = {p.dtype.name for p in selected.values()}
    if len(dtypes) > 1:
        raise InvalidModelError(
            f"the trained parameters mix the dtypes {sorted(dtypes)}: build all layers with the same dtype"
        )
    if dtypes.isdisjoint({"float32", "float64"}):
        raise InvalidModelError(
            f"the parameters are {dtypes.pop()}: build the model with dtype float32 or float64 "
            "(hypergradients need at least float32)"
        )
